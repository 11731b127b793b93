//! Tests that decimals of any length compare like the numbers that they represent, checked with
//! integer millionths.

use proptest::prelude::*;

use super::Decimal;

fn parse_decimal(text: &str) -> Decimal<'_> {
    Decimal::parse(text).unwrap_or_else(|| panic!("{text} is a number"))
}

#[test]
fn texts_are_numbers_or_not() {
    for text in ["0", "-0", "+1", "007", "1.0", "1e5", "1E-5", "1.5e+5", "1e99999999999999999999"] {
        assert!(Decimal::parse(text).is_some(), "{text}");
    }
    for text in [
        "", "-", "+", ".", "1.", ".1", "e5", "1e", "1e+", "1.e5", "1.2.3", "1e5.0", "--1", "-+1",
        "0x1", " 1", "1 ", "inf", "NaN", "1_0", "１", "1e5e5",
    ] {
        assert!(Decimal::parse(text).is_none(), "{text}");
    }
}

#[test]
fn huge_exponents_have_an_order() {
    let ordered = [
        "-1e99999999999999999999",
        "-1e400",
        "-1",
        "-1e-400",
        "0e99999999999999999999",
        "1e-99999999999999999999",
        "1e-400",
        "1",
        "1e400",
        "1e99999999999999999999",
    ];
    assert!(ordered.windows(2).all(|pair| parse_decimal(pair[0]) < parse_decimal(pair[1])));
}

#[test]
fn texts_are_short() {
    for (text, expected) in [
        ("0.0", "0"),
        ("-0", "0"),
        ("1200", "1200"),
        ("-1.50", "-1.5"),
        ("1e20", "100000000000000000000"),
        ("123e19", "1.23e+21"),
        ("0.00000123", "0.00000123"),
        ("0.000000123", "1.23e-7"),
        ("-1e1000", "-1e+1000"),
        ("9007199254740993", "9007199254740993"),
    ] {
        assert_eq!(parse_decimal(text).to_text(), expected);
    }
    assert_eq!(parse_decimal("0.000000123").to_plain_text(), "0.000000123");
    for count in [0, 1, 10, 1203] {
        assert_eq!(Decimal::of_count(count).to_text(), count.to_string());
        assert_eq!(Decimal::of_count(count), parse_decimal(&count.to_string()));
    }
}

/// A number in millionths, with one of its written forms.
fn any_written_number() -> impl Strategy<Value = (i128, String)> {
    let millionths = prop_oneof![-5_000_000..5_000_000_i64, any::<i64>()].prop_map(i128::from);
    (millionths, -4..5_i32, 0..3_usize).prop_map(|(millionths, exponent, zeros)| {
        let sign = if millionths < 0 { "-" } else { "" };
        let digits = format!("{:020}", millionths.unsigned_abs());
        let place = usize::try_from(20 - 6 - exponent).expect("within the digits");
        let (whole, fraction) = digits.split_at(place);
        let zeros = "0".repeat(zeros);
        (millionths, format!("{sign}{whole}.{fraction}{zeros}e{exponent}"))
    })
}

proptest! {
    #[test]
    fn the_order_is_that_of_integers((one, text) in any_written_number(), (other, other_text) in any_written_number()) {
        let (decimal, other_decimal) = (parse_decimal(&text), parse_decimal(&other_text));
        prop_assert_eq!(decimal.cmp(&other_decimal), one.cmp(&other), "{} {}", text, other_text);
        let sum = format!("{one}e-6");
        prop_assert_eq!(&decimal, &Decimal::parse(&sum).expect("a number"));
        for text in [decimal.to_text(), decimal.to_plain_text()] {
            prop_assert_eq!(&Decimal::parse(&text).expect("a number"), &decimal);
        }
        prop_assert_eq!(&decimal.clone().into_owned(), &decimal);
        prop_assert_eq!(decimal.is_zero(), one == 0);
    }
}
