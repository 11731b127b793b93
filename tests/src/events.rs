//! Made-up events of a shop and its app, the same for the same seed.

use fastrand::Rng;
use serde_json::json;

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

/// Makes one event after the other, each a JSON text without a line ending.
#[derive(Debug, Clone)]
pub struct Events {
    rng: Rng,
    number: u64,
}

impl Events {
    /// Events that differ from those of another seed.
    pub fn new(seed: u64) -> Self {
        Events { rng: Rng::with_seed(seed), number: 0 }
    }

    /// So many events as the lines of a file.
    pub fn ndjson(self, count: usize) -> Vec<u8> {
        self.take(count).flat_map(|event| (event + "\n").into_bytes()).collect()
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.rng.usize(..choices.len())]
    }

    fn event(&mut self) -> String {
        let specific = match self.rng.u8(..20) {
            0..10 => self.track(),
            10..14 => self.page(),
            14..16 => self.identify(),
            16..18 => self.screen(),
            18 => json!({"type": "group", "groupId": "club-7", "traits": {"name": "Bergfreunde e.V.", "members": self.number}}),
            _ => json!({"type": "alias", "previousId": format!("anonymous-{}", self.rng.u16(..)), "userId": self.pick(PEOPLE).1}),
        };
        self.envelope(&specific)
    }

    fn track(&mut self) -> serde_json::Value {
        let name = self.pick(TRACKED);
        json!({"type": "track", "event": name, "properties": self.properties(name)})
    }

    fn properties(&mut self, name: &str) -> serde_json::Value {
        match name {
            "Product Viewed" | "Product Added" => self.product(),
            "Order Completed" => {
                let products: Vec<_> = (0..self.rng.u8(1..5)).map(|_| self.product()).collect();
                json!({"order_id": format!("{:010x}", self.rng.u64(..1 << 40)), "currency": "EUR", "products": products})
            }
            "Signed Up" => json!({"plan": self.pick(&["free", "club"]), "newsletter": self.rng.bool()}),
            "Search Performed" => json!({"query": self.pick(&["schuhe größe 42", "a\tb", "登山"]), "results": self.rng.u16(..400)}),
            _ => json!({"code": null, "device_time": 1_770_000_000_000_u64 + self.rng.u64(..1_000_000_000)}),
        }
    }

    fn product(&mut self) -> serde_json::Value {
        let (name, category, cents) = self.pick(GOODS);
        json!({"name": name, "category": category, "price": f64::from(cents) / 100.0, "quantity": self.rng.u8(1..4)})
    }

    fn page(&mut self) -> serde_json::Value {
        let path = self.pick(PAGES);
        json!({"type": "page", "name": path, "properties": {"path": path, "url": format!("https://shop.example{path}"), "referrer": null}})
    }

    fn screen(&mut self) -> serde_json::Value {
        json!({"type": "screen", "name": self.pick(&["Home", "Cart", "Settings"]), "properties": {"dark": self.rng.bool()}})
    }

    fn identify(&mut self) -> serde_json::Value {
        let (name, id) = self.pick(PEOPLE);
        json!({"type": "identify", "traits": {"name": name, "email": format!("{id}@mail.example"), "visits": self.rng.u16(..)}})
    }

    /// What all events have, before what this one has.
    fn envelope(&mut self, specific: &serde_json::Value) -> String {
        self.number += 1;
        let (user, seconds) = (self.pick(PEOPLE).1, self.number % 86_400);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let time = format!("2026-03-0{}T{hour:02}:{minute:02}:{second:02}.{:03}Z", self.rng.u8(1..9), self.rng.u16(..1000));
        let id = format!("{:08x}-{:016x}", self.number, self.rng.u64(..));
        let specific = specific.to_string();
        let specific = specific.strip_prefix('{').expect("an object");
        format!(r#"{{"messageId":"{id}","userId":"{user}","originalTimestamp":"{time}","context":{{"locale":"de-AT"}},{specific}"#)
    }
}

impl Iterator for Events {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        Some(self.event())
    }
}
