//! Tests which personal data the detectors find, that long texts need limited time, and that
//! redacting twice changes nothing.

use proptest::prelude::*;

use super::{Detectors, redact_text};

const ALL: Detectors = Detectors { email: true, phone: true, card: true, ip: true };

fn redact_all(text: &str) -> String {
    redact_text(text, ALL).unwrap_or_else(|| text.to_owned())
}

#[test]
fn personal_data_is_redacted() {
    for (text, expected) in [
        // E-mail addresses.
        ("jane.doe+x@example.co.uk", "[email]"),
        ("Write to <jane@example.com>, please.", "Write to <[email]>, please."),
        ("'jane@example.com'.", "'[email]'."),
        ("a@b.com,c@d.org", "[email],[email]"),
        ("https://x.example/?m=jane%40example.com&n=1", "https://x.example/?m=[email]&n=1"),
        ("jörg@müller.de", "[email]"),
        ("jane@xn--mller-kva.xn--p1ai", "[email]"),
        ("mailto:5551234567@example.com", "mailto:[email]"),
        ("jane@example.com.", "[email]."),
        ("jane@mail-1.example.com-", "[email]-"),
        ("o'neil@example.com", "[email]"),
        // Telephone numbers.
        ("+14155552671", "[phone]"),
        ("call +1 (415) 555-2671 now", "call [phone] now"),
        ("+49 30 123456", "[phone]"),
        ("+49 (0)30 / 1234 5678", "[phone]"),
        ("+44-20-7946-0958", "[phone]"),
        ("tel:+33.1.23.45.67.89", "tel:[phone]"),
        ("(415) 555-2671", "[phone]"),
        ("415-555-2671", "[phone]"),
        ("415.555.2671", "[phone]"),
        ("1-415-555-2671", "[phone]"),
        ("415 555 2671, or so", "[phone], or so"),
        ("(ring 415-555-2671)", "(ring [phone])"),
        ("030 12345678", "[phone]"),
        ("(030) 1234-5678", "[phone]"),
        ("0171/1234567", "[phone]"),
        ("020 7946 0958", "[phone]"),
        ("01 23 45 67 89", "[phone]"),
        ("01.23.45.67.89", "[phone]"),
        ("0049 30 123456", "[phone]"),
        // Cards.
        ("4111111111111111", "[card]"),
        ("4111 1111 1111 1111", "[card]"),
        ("4111-1111-1111-1111.", "[card]."),
        ("4111 1111 1111 1111 123", "[card] 123"),
        ("no 12 4111 1111 1111 1111", "no 12 [card]"),
        ("3782 822463 10005", "[card]"),
        ("378282246310005", "[card]"),
        ("2223003122003222", "[card]"),
        ("4222222222222", "[card]"),
        // IP addresses.
        ("203.0.113.9", "203.0.113.0"),
        ("http://203.0.113.9:8080/x", "http://203.0.113.0:8080/x"),
        ("1.2.3.4, 5.6.7.8.", "1.2.3.0, 5.6.7.0."),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("2001:DB8::1", "2001:db8::"),
        ("[2001:db8:1:2::1]:443", "[2001:db8:1::]:443"),
        ("fe80::1%eth0", "fe80::%eth0"),
        ("::ffff:203.0.113.9", "::ffff:203.0.113.0"),
        ("from 2001:db8:1:2::1: hello", "from 2001:db8:1::: hello"),
    ] {
        assert_eq!(redact_all(text), expected);
        assert_eq!(redact_text(expected, ALL), None, "{expected}");
    }
}

#[test]
fn other_data_is_not_redacted() {
    for text in [
        "",
        "Order Completed",
        "@example.com",
        "jane@",
        "jane@localhost",
        "jane@example.1",
        "a @ b.com",
        "@jane",
        "50%40",
        "1700000000",
        "1700000000000",
        "2024-05-06T07:08:09.123+02:00",
        "2024-05-06 07:08:09",
        "06.05.2024 07:08",
        "01-02-2024",
        "4111111111111112",
        "a4111111111111111",
        "4111111111111111b",
        "1234567890123456789012345",
        "2222222222222222222",
        "550e8400-e29b-41d4-a716-446655440000",
        "9007199254740993",
        "123-45-6789",
        "1.2.3",
        "256.1.1.1",
        "1.2.3.4.5",
        "v1.2.3.4",
        "120.0.6099.109",
        "10.0.0.0",
        "12:34:56",
        "00:1a:2b:3c:4d:5e",
        "std::dec",
        "dead::beef",
        "::",
        "2001:DB8:1::",
        "[email] [phone] [card]",
        "SKU 12345-678-9012-34",
        "100 200 3000",
        "EUR 12.345.678,90",
        "1.0+20240101",
    ] {
        assert_eq!(redact_text(text, ALL), None, "{text}");
    }
}

#[test]
fn only_configured_detectors_run() {
    let text = "a@b.de 203.0.113.9 4111111111111111 +14155552671";
    let none = Detectors::default();
    for (which, expected) in [
        (Detectors { email: true, ..none }, "[email] 203.0.113.9 4111111111111111 +14155552671"),
        (Detectors { ip: true, ..none }, "a@b.de 203.0.113.0 4111111111111111 +14155552671"),
        (Detectors { card: true, ..none }, "a@b.de 203.0.113.9 [card] +14155552671"),
        (Detectors { phone: true, ..none }, "a@b.de 203.0.113.9 4111111111111111 [phone]"),
        (ALL, "[email] 203.0.113.0 [card] [phone]"),
    ] {
        assert_eq!(redact_text(text, which).as_deref(), Some(expected));
    }
    assert_eq!(redact_text(text, none), None);
}

#[test]
fn long_texts_of_any_sort_end() {
    for part in
        ["a@", "a@b.", "%40", "4 ", "4111111111111111+", "+1415555", ":1", "1.", "+(0 ", " "]
    {
        let text = part.repeat(100_000);
        let redacted = redact_text(&text, ALL);
        assert_eq!(redacted.and_then(|redacted| redact_text(&redacted, ALL)), None);
    }
}

/// Found by fuzzing: a replacement and the text next to it formed a new address.
#[test]
fn replacements_do_not_form_addresses() {
    for text in ["4111111111111111::1).", "::5:066666663.98", "1.2.3.9.4111111111111111"] {
        let redacted = redact_text(text, ALL).expect("a number");
        assert_eq!(redact_text(&redacted, ALL), None, "{redacted}");
    }
}

fn any_text() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "a@b.de",
        "@",
        "%40",
        ".",
        "x",
        "é",
        " ",
        "-",
        "+",
        "(",
        ")",
        "/",
        ":",
        "::",
        "0",
        "1",
        "4",
        "12",
        "415",
        "555",
        "2671",
        "030",
        "00",
        "+49",
        "203.0.113.9",
        "2001:db8:1:2::1",
        "ffff",
        "4111",
        "1111",
        "4111111111111111",
        "[",
        "]",
        "com",
        "'",
        "_",
    ]);
    prop_oneof![
        prop::collection::vec(part, 0..14).prop_map(|parts| parts.concat()),
        "[0-9 .+()/-]{0,40}",
        ".{0,60}",
    ]
}

#[test]
fn data_next_to_a_redacted_number_is_found() {
    crate::fuzzing::check_redaction("a@b.de-4111111111111111@a@b.de", 7);
    let all = Detectors { email: true, phone: true, card: true, ip: true };
    let redacted = redact_text("a@b.de-4111111111111111@a@b.de", all);
    assert_eq!(redacted.as_deref(), Some("[email]-[card]@[email]"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn redacting_again_changes_nothing(text in any_text(), bits in 1..16_u8) {
        crate::fuzzing::check_redaction(&text, bits);
    }
}
