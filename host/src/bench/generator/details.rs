//! The contents of generated events, by kind.

use std::fmt::Write as _;

use fastrand::Rng;

/// Names of track events, with their share in tenths of a percent.
const TRACKED: &[(&str, u32)] = &[
    ("Product Viewed", 140),
    ("Product Added", 80),
    ("Product Removed", 20),
    ("Cart Viewed", 40),
    ("Checkout Started", 30),
    ("Payment Info Entered", 20),
    ("Order Completed", 20),
    ("Order Refunded", 4),
    ("Signed Up", 10),
    ("Signed In", 50),
    ("Signed Out", 30),
    ("Trial Started", 6),
    ("Subscription Upgraded", 4),
    ("Video Playback Started", 50),
    ("Video Playback Completed", 30),
    ("Article Shared", 15),
    ("Search Performed", 80),
    ("Notification Opened", 30),
];
const IDENTIFIES: u32 = 80;
const PAGES: u32 = 261;

const FIRST_NAMES: &[&str] = &[
    "Ada", "Björn", "Chloé", "Dmitri", "Elena", "Grace", "João", "Kofi", "Lena", "Mei", "Øyvind",
    "Priya", "花子", "Zoë",
];
const LAST_NAMES: &[&str] = &[
    "Lovelace", "Müller", "Okafor", "Santos", "Tanaka", "Petrov", "Nguyen", "Smith", "Dubois",
    "Novák",
];
const USER_AGENTS: &[&str] = &[
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
];
const LOCALES: &[&str] = &["en-US", "de-DE", "fr-FR", "pt-BR", "ja-JP", "es-MX"];
const TIME_ZONES: &[&str] =
    &["America/New_York", "Europe/Berlin", "Europe/Paris", "America/Sao_Paulo", "Asia/Tokyo"];
const CATEGORIES: &[&str] = &["shoes", "jackets", "bags", "watches", "home", "outdoor", "kids"];
const BRANDS: &[&str] = &["Acme", "Globex", "Initech", "Umbrella", "Hooli", "Stark"];
const PLANS: &[&str] = &["free", "starter", "team", "business", "enterprise"];
const CURRENCIES: &[&str] = &["USD", "EUR", "BRL", "JPY"];
const COUPONS: &[&str] = &["null", "\"SUMMER26\"", "\"WELCOME10\""];
const REFERRERS: &[&str] =
    &["", "https://www.google.com/", "https://news.example.com/item?id=41327"];

/// The paths of pages.
pub(super) const PATHS: &[&str] = &[
    "/",
    "/pricing",
    "/products",
    "/blog/announcing-v2",
    "/docs/start",
    "/cart",
    "/checkout",
    "/account/settings",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventKind {
    Track(&'static str),
    Page,
    Identify,
}

impl EventKind {
    pub(super) fn draw_kind(rng: &mut Rng) -> Self {
        let tracked: u32 = TRACKED.iter().map(|(_, share)| share).sum();
        let mut at = rng.u32(..tracked + IDENTIFIES + PAGES);
        for &(name, share) in TRACKED {
            match at.checked_sub(share) {
                Some(rest) => at = rest,
                None => return EventKind::Track(name),
            }
        }
        if at < IDENTIFIES { EventKind::Identify } else { EventKind::Page }
    }

    pub(super) fn message_type(self) -> &'static str {
        match self {
            EventKind::Track(_) => "track",
            EventKind::Page => "page",
            EventKind::Identify => "identify",
        }
    }

    /// The value of `event`.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            EventKind::Track(name) => Some(name),
            EventKind::Page | EventKind::Identify => None,
        }
    }

    /// Writes properties or traits as additional members.
    pub(super) fn write_details(self, line: &mut String, rng: &mut Rng, path: &str) {
        match self {
            EventKind::Page => write_page(line, rng, path),
            EventKind::Identify => write_traits(line, rng),
            EventKind::Track(name) => {
                line.push_str(r#","properties":"#);
                write_properties(line, rng, name);
            }
        }
    }
}

pub(super) fn pick_one<'a>(rng: &mut Rng, choices: &[&'a str]) -> &'a str {
    choices[rng.usize(..choices.len())]
}

fn random_price(rng: &mut Rng) -> f64 {
    f64::from(rng.u32(100..40_000)) / 100.0
}

pub(super) fn write_product(line: &mut String, rng: &mut Rng) {
    let _ = write!(
        line,
        r#"{{"product_id":"{:012x}","sku":"SKU-{:05}","name":"{} {}","category":"{}","price":{},"quantity":{}}}"#,
        rng.u64(..1 << 48),
        rng.u32(..99_999),
        pick_one(rng, BRANDS),
        pick_one(rng, CATEGORIES),
        pick_one(rng, CATEGORIES),
        random_price(rng),
        rng.u8(1..5)
    );
}

fn write_properties(line: &mut String, rng: &mut Rng, name: &str) {
    match name {
        "Product Viewed" | "Product Added" | "Product Removed" => {
            write_product(line, rng);
            line.pop();
            let (brand, currency) = (pick_one(rng, BRANDS), pick_one(rng, CURRENCIES));
            let variant = pick_one(rng, &["red", "blue", "black", "white"]);
            let _ = write!(
                line,
                r#","brand":"{brand}","variant":"{variant}","currency":"{currency}","position":{}}}"#,
                rng.u8(..40)
            );
        }
        "Cart Viewed" | "Checkout Started" | "Order Completed" | "Order Refunded" => {
            write_order(line, rng);
        }
        "Search Performed" => write_search(line, rng),
        _ if name.starts_with("Video") => write_video(line, rng),
        "Article Shared" | "Notification Opened" => write_campaign(line, rng),
        _ => write_account(line, rng),
    }
}

fn write_order(line: &mut String, rng: &mut Rng) {
    let (currency, coupon) = (pick_one(rng, CURRENCIES), pick_one(rng, COUPONS));
    let _ = write!(
        line,
        r#"{{"order_id":"{:014x}","currency":"{currency}","total":{},"tax":{},"shipping":4.99,"coupon":{coupon},"products":["#,
        rng.u64(..1 << 56),
        random_price(rng),
        random_price(rng) / 16.0
    );
    write_product(line, rng);
    if rng.bool() {
        line.push(',');
        write_product(line, rng);
    }
    line.push_str("]}");
}

fn write_search(line: &mut String, rng: &mut Rng) {
    let (brand, category) = (pick_one(rng, BRANDS), pick_one(rng, CATEGORIES));
    let _ = write!(
        line,
        r#"{{"query":"{brand} {category} \"größe {}\"","results":{},"filters":[{{"type":"category","value":"{category}"}},{{"type":"price","value":"under-{}"}}],"sort":"{}"}}"#,
        rng.u8(36..46),
        rng.u16(..500),
        rng.u16(..9) * 50,
        pick_one(rng, &["relevance", "price_asc"])
    );
}

fn write_video(line: &mut String, rng: &mut Rng) {
    let _ = write!(
        line,
        r#"{{"session_id":"{:016x}","content_asset_id":"{:010x}","title":"How to build with {}","position":{},"total_length":3600,"quality":"{}","sound":{},"full_screen":{},"ad_enabled":{}}}"#,
        rng.u64(..),
        rng.u64(..1 << 40),
        pick_one(rng, BRANDS),
        rng.u16(..3600),
        pick_one(rng, &["720p", "1080p", "4k"]),
        rng.u8(..100),
        rng.bool(),
        rng.u8(..5) == 0
    );
}

fn write_campaign(line: &mut String, rng: &mut Rng) {
    let (channel, via) = (
        pick_one(rng, &["push", "email", "sms", "web"]),
        pick_one(rng, &["copy", "x", "linkedin"]),
    );
    let _ = write!(
        line,
        r#"{{"campaign_id":"{:010x}","channel":"{channel}","share_via":"{via}","title":"Announcing v2 of {}","word_count":{},"tags":["{}","{}"]}}"#,
        rng.u64(..1 << 40),
        pick_one(rng, BRANDS),
        rng.u16(..3000),
        pick_one(rng, CATEGORIES),
        pick_one(rng, CATEGORIES)
    );
}

fn write_account(line: &mut String, rng: &mut Rng) {
    let (plan, previous) = (pick_one(rng, PLANS), pick_one(rng, PLANS));
    let _ = write!(
        line,
        r#"{{"plan":"{plan}","previous_plan":"{previous}","method":"{}","mfa":{},"seats":{},"monthly_spend":{},"referrer_code":"{:08x}"}}"#,
        pick_one(rng, &["password", "google", "github", "saml"]),
        rng.bool(),
        rng.u8(1..51),
        random_price(rng),
        rng.u32(..)
    );
}

fn write_page(line: &mut String, rng: &mut Rng, path: &str) {
    let referrer = pick_one(rng, REFERRERS);
    let _ = write!(
        line,
        r#","name":"Store {path}","properties":{{"path":"{path}","referrer":"{referrer}","title":"Example Store","search":"{}","load_ms":{}}}"#,
        pick_one(rng, &["", "?utm_source=mail"]),
        rng.u16(..4000)
    );
}

fn write_traits(line: &mut String, rng: &mut Rng) {
    let (first, last) = (pick_one(rng, FIRST_NAMES), pick_one(rng, LAST_NAMES));
    let _ = write!(
        line,
        r#","traits":{{"email":"{}.{}@example.com","firstName":"{first}","lastName":"{last}","plan":"{}","createdAt":"2025-0{}-1{}T08:00:00Z","logins":{},"company":{{"id":"{:08x}","name":"{} GmbH","employees":{}}},"phone":"+1555{:07}"}}"#,
        first.to_lowercase(),
        last.to_lowercase(),
        pick_one(rng, PLANS),
        rng.u8(1..10),
        rng.u8(..9),
        rng.u16(..900),
        rng.u32(..),
        pick_one(rng, BRANDS),
        rng.u16(..9000),
        rng.u32(..9_999_999)
    );
}

pub(super) fn write_context(line: &mut String, rng: &mut Rng, kind: EventKind, path: &str) {
    let _ = write!(
        line,
        r#","context":{{"ip":"203.0.113.{}","userAgent":"{}","locale":"{}","timezone":"{}","library":{{"name":"analytics.js","version":"2.11.{}"}}"#,
        rng.u8(..),
        pick_one(rng, USER_AGENTS),
        pick_one(rng, LOCALES),
        pick_one(rng, TIME_ZONES),
        rng.u8(..9)
    );
    match kind {
        EventKind::Page => {
            let source = pick_one(rng, &["newsletter", "ads", "organic"]);
            let _ = write!(
                line,
                r#","campaign":{{"source":"{source}","medium":"email","name":"summer-26"}}}}"#
            );
        }
        EventKind::Track(_) => {
            let referrer = pick_one(rng, REFERRERS);
            let _ = write!(
                line,
                r#","page":{{"path":"{path}","referrer":"{referrer}","title":"Example Store"}}}}"#
            );
        }
        EventKind::Identify => line.push('}'),
    }
}
