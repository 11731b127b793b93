//! What one event costs the default mapping, by what its settings have it do. The figures
//! include one allocation for the stream's name, which `rows only` shows.

use std::fmt;

use divan::Bencher;
use divan::counter::BytesCount;
use mapping::Mapping;
use standpipe_plugin::testing::{Harness, event};

const ROW: &str = r#"{"event":"*","stream":"all"}"#;

/// An order of 0.8 kB, as sent by an SDK in a browser.
const ORDER: &str = r#"{"type":"track","event":"Order Completed","userId":"u-48151623","anonymousId":"5f0c6c5e-92c5-4b9b-9d0f-1d3a2b4c5d6e","messageId":"ajs-next-1767225600000-42","originalTimestamp":"2026-01-01T00:00:00.000Z","sentAt":"2026-01-01T00:00:00.125Z","integrations":{"All":true,"Segment.io":{"retryCount":0}},"context":{"ip":"203.0.113.7","locale":"de-AT","page":{"path":"/checkout/done","title":"Thank you for your order","url":"https://shop.example/checkout/done"},"userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"},"properties":{"order_id":"8a7aac962c","currency":"EUR","total":526.79,"products":[{"name":"Träger 10","price":7.99,"quantity":1},{"name":"Rain Jacket","price":189.0,"quantity":2},{"name":"Trail Shoe","price":140.8,"quantity":1}]}}"#;

struct TransformCase {
    name: &'static str,
    transform: Option<&'static str>,
}

const CASES: &[TransformCase] = &[
    TransformCase { name: "rows only", transform: None },
    TransformCase {
        name: "drop 2, set 1",
        transform: Some(r#"{"drop_fields":["integrations","sentAt"],"set":{"pipeline":"bench"}}"#),
    },
    TransformCase {
        name: "drop 3, set 2, hash 1",
        transform: Some(
            r#"{"drop_fields":["integrations","context.ip","context.page.title"],"set":{"pipeline":"bench","properties.env":"prod"},"hash":["userId"]}"#,
        ),
    },
    TransformCase {
        name: "condition",
        transform: Some(r#"{"when":"properties.total > 1000000000","drop":true}"#),
    },
    TransformCase {
        name: "copy",
        transform: Some(r#"{"copy":{"properties.currency":"currency"}}"#),
    },
    TransformCase {
        name: "each price to text",
        transform: Some(r#"{"to_string":["properties.products[].price"]}"#),
    },
    TransformCase { name: "flatten", transform: Some(r#"{"flatten":{"":"."}}"#) },
];

impl TransformCase {
    fn settings(&self) -> String {
        let transforms = self.transform.unwrap_or_default();
        format!(r#"{{"mappings":[{ROW}],"transforms":[{transforms}]}}"#)
    }
}

impl fmt::Display for TransformCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

fn main() {
    divan::main();
}

#[divan::bench(args = CASES)]
fn transform(bencher: Bencher<'_, '_>, case: &TransformCase) {
    let mut mapping = Harness::<Mapping>::configure(&case.settings()).expect("valid settings");
    bencher
        .counter(BytesCount::of_str(ORDER))
        .with_inputs(|| event(ORDER))
        .bench_local_values(|event| mapping.map(event));
}
