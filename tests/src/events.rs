//! Generated events of a shop and its app. A seed always produces the same events.

use fastrand::Rng;
use serde_json::{Map, Value, json};

const PEOPLE: &[(&str, &str)] = &[
    ("Zoë", "zoe"),
    ("Jürgen", "juergen"),
    ("Maria José", "mj"),
    ("山田 花子", "hanako"),
    ("Oluwaseun", "seun"),
    ("Ирина", "irina"),
    ("ليلى", "layla"),
    ("Bob \"Bobby\" O'Neil", "bob"),
];
const GOODS: &[(&str, &str, u32)] = &[
    ("Trail Shoe", "shoes", 12_990),
    ("Rain Jacket ☔", "clothing", 18_900),
    ("Café Mug", "kitchen", 1_450),
    ("Head Torch", "outdoor", 3_995),
    ("Träger 10\"", "spare parts", 799),
];
const TRACKED: &[&str] = &[
    "Product Viewed",
    "Product Viewed",
    "Product Added",
    "Order Completed",
    "Signed Up",
    "Search Performed",
    "Coupon Applied",
    "App Opened",
];
const PAGES: &[&str] = &["/", "/goods", "/goods/trail-shoe", "/cart", "/über-uns", "/help"];

/// An iterator of events, each a JSON text without a line ending.
#[derive(Debug, Clone)]
pub struct Events {
    rng: Rng,
    number: u64,
}

impl Events {
    /// Events of a seed. Other seeds produce other events.
    pub fn new(seed: u64) -> Self {
        Events { rng: Rng::with_seed(seed), number: 0 }
    }

    /// This many events as the lines of a file.
    pub fn into_ndjson(self, count: usize) -> Vec<u8> {
        self.take(count).flat_map(|event| (event + "\n").into_bytes()).collect()
    }

    fn pick_one<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.rng.usize(..choices.len())]
    }

    fn make_event(&mut self) -> String {
        let specific = match self.rng.u8(..20) {
            0..10 => self.make_track(),
            10..14 => self.make_page(),
            14..16 => self.make_identify(),
            16..18 => self.make_screen(),
            18 => {
                json!({"type": "group", "groupId": "club-7", "traits": {"name": "Bergfreunde e.V.", "members": self.number}})
            }
            _ => json!({"type": "alias", "previousId": format!("anonymous-{}", self.rng.u16(..))}),
        };
        let Value::Object(specific) = specific else { unreachable!("each is an object") };
        self.wrap_in_envelope(specific)
    }

    fn make_track(&mut self) -> Value {
        let name = self.pick_one(TRACKED);
        json!({"type": "track", "event": name, "properties": self.make_properties(name)})
    }

    fn make_properties(&mut self, name: &str) -> Value {
        match name {
            "Product Viewed" | "Product Added" => self.make_product(),
            "Order Completed" => {
                let products: Vec<_> =
                    (0..self.rng.u8(1..5)).map(|_| self.make_product()).collect();
                json!({"order_id": format!("{:010x}", self.rng.u64(..1 << 40)), "currency": "EUR", "products": products})
            }
            "Signed Up" => {
                json!({"plan": self.pick_one(&["free", "club"]), "newsletter": self.rng.bool()})
            }
            "Search Performed" => {
                json!({"query": self.pick_one(&["schuhe größe 42", "a\tb", "登山"]), "results": self.rng.u16(..400)})
            }
            _ => {
                json!({"code": null, "device_time": 1_770_000_000_000_u64 + self.rng.u64(..1_000_000_000)})
            }
        }
    }

    fn make_product(&mut self) -> Value {
        let (name, category, cents) = self.pick_one(GOODS);
        json!({"name": name, "category": category, "price": f64::from(cents) / 100.0, "quantity": self.rng.u8(1..4)})
    }

    fn make_page(&mut self) -> Value {
        let path = self.pick_one(PAGES);
        json!({"type": "page", "name": path, "properties": {"path": path, "url": format!("https://shop.example{path}"), "referrer": null}})
    }

    fn make_screen(&mut self) -> Value {
        json!({"type": "screen", "name": self.pick_one(&["Home", "Cart", "Settings"]), "properties": {"dark": self.rng.bool()}})
    }

    fn make_identify(&mut self) -> Value {
        let (name, id) = self.pick_one(PEOPLE);
        json!({"type": "identify", "traits": {"name": name, "email": format!("{id}@mail.example"), "visits": self.rng.u16(..)}})
    }

    /// Adds the members that all events have.
    fn wrap_in_envelope(&mut self, mut specific: Map<String, Value>) -> String {
        self.number += 1;
        let first = ["type", "event", "name"]
            .into_iter()
            .filter_map(|key| Some(format!("\"{key}\":{},", specific.remove(key)?)));
        let first: String = first.collect();
        let (user, number, seconds) = (self.pick_one(PEOPLE).1, self.number, self.number % 86_400);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let milliseconds = self.rng.u16(..1000);
        let time = format!("2026-03-01T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z");
        let id = format!("{number:08x}-{:016x}", self.rng.u64(..));
        let rest = Value::Object(specific).to_string();
        let rest = rest.strip_prefix('{').expect("an object");
        let common = format!(
            r#""userId":"{user}","messageId":"{id}","originalTimestamp":"{time}","context":{{"locale":"de-AT"}}"#
        );
        let comma = if rest == "}" { "" } else { "," };
        format!("{{{first}{common}{comma}{rest}")
    }
}

impl Iterator for Events {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        Some(self.make_event())
    }
}
