//! What the rows say of where events go, for catalogs.

use std::collections::HashMap;

use standpipe_plugin::Route;

use crate::settings::{Row, Settings, Stream};

/// What `type` can be; any other word of a row is more likely a name.
const MESSAGE_TYPES: [&str; 6] = ["identify", "track", "page", "screen", "group", "alias"];

pub(crate) fn of(settings: &Settings) -> Vec<Route> {
    let last: HashMap<_, _> =
        settings.rows.iter().map(|row| (row.event.to_lowercase(), row)).collect();
    // A plain row hides those before it of the same event.
    let is_hidden = |row: &Row| {
        let last = last[&row.event.to_lowercase()];
        last.number > row.number && last.is_plain()
    };
    let rows = settings.rows.iter().filter(|row| !is_hidden(row));
    rows.flat_map(|row| streams(row, settings).into_iter().map(|stream| route(row, stream)))
        .collect()
}

fn route(row: &Row, stream: String) -> Route {
    let event = row.event.as_str();
    let is_type = MESSAGE_TYPES.contains(&event.to_lowercase().as_str());
    let word = (event != "*").then(|| event.to_owned());
    Route {
        message_type: word.as_ref().filter(|_| is_type).map(|word| word.to_lowercase()),
        name: word.filter(|_| !is_type),
        condition: row.when.as_ref().map(ToString::to_string),
        stream,
    }
}

/// As the plugin declares them.
fn streams(row: &Row, settings: &Settings) -> Vec<String> {
    match &row.stream {
        Stream::Missing | Stream::Dropped => Vec::new(),
        Stream::Named(name) => vec![name.clone()],
        Stream::Chosen { template, fallback } => {
            let mut streams = settings.streams_allowed.clone();
            if streams.is_empty() {
                streams.push(template.pattern());
            }
            streams.extend(fallback.clone());
            streams
        }
    }
}

#[cfg(test)]
mod tests {
    use standpipe_plugin::{Plugin as _, Setup};

    use crate::Mapping;

    fn routes(settings: &str) -> Vec<String> {
        let mapping = Mapping::configure(settings, &mut Setup::default()).unwrap();
        let word = |word: Option<String>| word.unwrap_or_else(|| "-".to_owned());
        let routes = mapping.routes().into_iter().map(|route| {
            let kind = (word(route.message_type), word(route.name));
            format!("{} {} {} {}", kind.0, kind.1, route.stream, word(route.condition))
        });
        routes.collect()
    }

    #[test]
    fn rows_tell_their_ways() {
        let settings = r#"{"mappings":[
            {"event":"Order","stream":"before"}, {"event":"Order","stream":"orders"},
            {"event":"Page","stream":"pages","when":"properties.n > 1"},
            {"event":"none","stream":""}, {"event":"x","drop":true},
            {"event":"*","stream":"events-${properties.t}","fallback":"others"}]}"#;
        assert_eq!(
            routes(settings),
            ["- Order orders -", "page - pages properties.n > 1", "- - events-* -", "- - others -"]
        );
        let allowed =
            settings.replace("{\"mappings\"", "{\"streams_allowed\":[\"events-a\"],\"mappings\"");
        assert_eq!(routes(&allowed)[2..], ["- - events-a -", "- - others -"]);
    }
}
