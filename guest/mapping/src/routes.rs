//! Lists the routes of the mappings, for catalogs.

use std::collections::HashMap;

use standpipe_plugin::Route;

use crate::settings::{MappingRow, MappingSettings, RowTarget};

/// The possible values of `type`. Any other word in a mapping is more likely a name.
const MESSAGE_TYPES: [&str; 6] = ["identify", "track", "page", "screen", "group", "alias"];

pub(crate) fn list_routes(settings: &MappingSettings) -> Vec<Route> {
    let last: HashMap<_, _> =
        settings.rows.iter().map(|row| (row.event.to_lowercase(), row)).collect();
    // A plain mapping hides earlier ones of the same event.
    let is_hidden = |row: &MappingRow| {
        let last = last[&row.event.to_lowercase()];
        last.number > row.number && last.is_plain()
    };
    let rows = settings.rows.iter().filter(|row| !is_hidden(row));
    rows.flat_map(|row| row_streams(row, settings).into_iter().map(|stream| row_route(row, stream)))
        .collect()
}

fn row_route(row: &MappingRow, stream: String) -> Route {
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

/// The streams as the plugin declares them.
fn row_streams(row: &MappingRow, settings: &MappingSettings) -> Vec<String> {
    match &row.stream {
        RowTarget::Missing | RowTarget::Dropped => Vec::new(),
        RowTarget::Named(name) => vec![name.clone()],
        RowTarget::Chosen { template, fallback } => {
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

    fn route_texts(settings: &str) -> Vec<String> {
        let mapping = Mapping::configure(settings, &mut Setup::default()).unwrap();
        let word = |word: Option<String>| word.unwrap_or_else(|| "-".to_owned());
        let routes = mapping.routes().into_iter().map(|route| {
            let kind = (word(route.message_type), word(route.name));
            format!("{} {} {} {}", kind.0, kind.1, route.stream, word(route.condition))
        });
        routes.collect()
    }

    #[test]
    fn rows_list_their_routes() {
        let settings = r#"{"mappings":[
            {"event":"Order","stream":"before"}, {"event":"Order","stream":"orders"},
            {"event":"Page","stream":"pages","when":"properties.n > 1"},
            {"event":"none","stream":""}, {"event":"x","drop":true},
            {"event":"*","stream":"events-${properties.t}","fallback":"others"}]}"#;
        assert_eq!(
            route_texts(settings),
            ["- Order orders -", "page - pages properties.n > 1", "- - events-* -", "- - others -"]
        );
        let allowed =
            settings.replace("{\"mappings\"", "{\"streams_allowed\":[\"events-a\"],\"mappings\"");
        assert_eq!(route_texts(&allowed)[2..], ["- - events-a -", "- - others -"]);
    }
}
