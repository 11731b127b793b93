//! Templates: texts with values of the event, such as `events-${properties.tenant | lower}`.

use crate::change::{lowercase_text, truncate_text, uppercase_text};
use crate::json::{JsonKind, JsonValue, write_string};
use crate::path::FieldPath;
use crate::timestamp::{Reading, Writing, Zone, convert_time};

/// A text with placeholders for values. `$${` stands for `${`.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    parts: Vec<TemplatePart>,
    paths: Vec<FieldPath>,
}

#[derive(Debug, Clone)]
enum TemplatePart {
    Text(Box<str>),
    /// The value at the path with this index, after these filters.
    Value(usize, Vec<TemplateFilter>),
}

#[derive(Debug, Clone)]
enum TemplateFilter {
    Lower,
    Upper,
    Trim,
    Truncate(usize),
    /// The default for a missing or empty value.
    Default(Box<str>),
    Date(DatePart),
}

/// The part of a time to write.
#[derive(Debug, Clone, Copy)]
enum DatePart {
    Year,
    Month,
    Day,
    Hour,
    Date,
}

/// The filters, as errors list them.
const FILTERS: &str = "`lower`, `upper`, `trim`, `truncate N`, `default 'text'`, and for timestamps \
                       `date`, `year`, `month`, `day`, `hour`";

impl Template {
    /// Whether a text contains placeholders.
    pub(crate) fn is_one(text: &str) -> bool {
        text.contains("${")
    }

    /// # Errors
    ///
    /// Fails with a sentence about the mistake.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut template = Template { parts: Vec::new(), paths: Vec::new() };
        let (mut literal, mut rest) = (String::new(), text);
        while let Some(place) = rest.find("${") {
            if let Some(before) = rest[..place].strip_suffix('$') {
                literal.push_str(before);
                literal.push_str("${");
                rest = &rest[place + 2..];
                continue;
            }
            literal.push_str(&rest[..place]);
            if !literal.is_empty() {
                template.parts.push(TemplatePart::Text(std::mem::take(&mut literal).into()));
            }
            let (inside, behind) = split_value(&rest[place + 2..])
                .ok_or_else(|| format!("the template {text:?} has a `${{` without its `}}`"))?;
            let mut pieces = inside.into_iter().map(str::trim);
            let path = FieldPath::parse(pieces.next().unwrap_or_default())?;
            let filters = pieces.map(parse_filter).collect::<Result<_, _>>()?;
            template.parts.push(TemplatePart::Value(template.paths.len(), filters));
            template.paths.push(path);
            rest = behind;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            template.parts.push(TemplatePart::Text(literal.into()));
        }
        Ok(template)
    }

    /// A template with only the value at this path.
    pub(crate) fn of_path(path: FieldPath) -> Self {
        Template { parts: vec![TemplatePart::Value(0, Vec::new())], paths: vec![path] }
    }

    /// The paths of the values, in order.
    pub(crate) fn paths(&self) -> &[FieldPath] {
        &self.paths
    }

    /// The text with `*` in place of each value.
    pub(crate) fn pattern(&self) -> String {
        let parts = self.parts.iter();
        parts.map(|part| if let TemplatePart::Text(text) = part { text } else { "*" }).collect()
    }

    /// Writes the text with the values of its paths. Returns `false` if a value is missing, or is
    /// neither string, number nor literal, and has no default.
    pub(crate) fn write<'a>(
        &self,
        out: &mut String,
        find: impl Fn(usize) -> Option<JsonValue<'a>>,
    ) -> bool {
        self.write_with(out, find, |out, value| {
            out.push_str(value);
            true
        })
    }

    /// Writes the text. `write` writes a value, and returns whether it can.
    pub(crate) fn write_with<'a>(
        &self,
        out: &mut String,
        find: impl Fn(usize) -> Option<JsonValue<'a>>,
        write: impl Fn(&mut String, &str) -> bool,
    ) -> bool {
        self.parts.iter().all(|part| match part {
            TemplatePart::Text(text) => {
                out.push_str(text);
                true
            }
            TemplatePart::Value(path, filters) if filters.is_empty() => {
                text_of(find(*path)).is_some_and(|text| write(out, &text))
            }
            TemplatePart::Value(path, filters) => {
                let text = text_of(find(*path)).map(std::borrow::Cow::into_owned);
                let text = filters.iter().fold(text, |text, filter| filter.apply(text));
                text.is_some_and(|text| write(out, &text))
            }
        })
    }
}

fn text_of(value: Option<JsonValue<'_>>) -> Option<std::borrow::Cow<'_, str>> {
    let value = value?;
    match value.kind() {
        JsonKind::String => value.as_string(),
        JsonKind::Number | JsonKind::Bool => Some(value.raw_text().into()),
        JsonKind::Null | JsonKind::Array | JsonKind::Object => None,
    }
}

/// Splits the text up to the closing bracket at bars. Also returns the rest. Brackets and bars in
/// quotes or after a backslash are part of the text.
fn split_value(text: &str) -> Option<(Vec<&str>, &str)> {
    let (mut pieces, mut start, mut quote, mut escaped) = (Vec::new(), 0, None, false);
    for (place, character) in text.char_indices() {
        match character {
            _ if std::mem::take(&mut escaped) => {}
            _ if quote == Some(character) => quote = None,
            _ if quote.is_some() => {}
            '\\' => escaped = true,
            '\'' | '"' if !pieces.is_empty() => quote = Some(character),
            '|' => {
                pieces.push(&text[start..place]);
                start = place + 1;
            }
            '}' => {
                pieces.push(&text[start..place]);
                return Some((pieces, &text[place + 1..]));
            }
            _ => {}
        }
    }
    None
}

fn parse_filter(text: &str) -> Result<TemplateFilter, String> {
    let (name, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let argument = argument.trim();
    let unquoted = ['\'', '"']
        .iter()
        .find_map(|&quote| argument.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(argument);
    let filter = match name {
        "lower" => TemplateFilter::Lower,
        "upper" => TemplateFilter::Upper,
        "trim" => TemplateFilter::Trim,
        "date" => TemplateFilter::Date(DatePart::Date),
        "year" => TemplateFilter::Date(DatePart::Year),
        "month" => TemplateFilter::Date(DatePart::Month),
        "day" => TemplateFilter::Date(DatePart::Day),
        "hour" => TemplateFilter::Date(DatePart::Hour),
        "default" if argument.is_empty() => {
            return Err("the filter `default` needs a text: write `default 'text'`".to_owned());
        }
        "default" => return Ok(TemplateFilter::Default(unquoted.into())),
        "truncate" => {
            return argument.parse().map(TemplateFilter::Truncate).map_err(|_| {
                "the filter `truncate` needs a number of characters: write `truncate 20`".to_owned()
            });
        }
        _ => return Err(format!("unknown filter {name:?}: the filters are {FILTERS}")),
    };
    if !argument.is_empty() {
        return Err(format!("the filter `{name}` takes nothing: remove {argument:?}"));
    }
    Ok(filter)
}

impl TemplateFilter {
    fn apply(&self, text: Option<String>) -> Option<String> {
        if let TemplateFilter::Default(default) = self {
            return text.filter(|text| !text.is_empty()).or_else(|| Some(default.to_string()));
        }
        let mut text = text?;
        match self {
            TemplateFilter::Lower => _ = lowercase_text(&mut text),
            TemplateFilter::Upper => _ = uppercase_text(&mut text),
            TemplateFilter::Trim => text = text.trim().to_owned(),
            TemplateFilter::Truncate(characters) => _ = truncate_text(&mut text, *characters),
            TemplateFilter::Date(part) => text = part.format_time(text)?,
            TemplateFilter::Default(_) => {}
        }
        Some(text)
    }
}

impl DatePart {
    /// Formats a part of a time, in UTC.
    fn format_time(self, text: String) -> Option<String> {
        // A time in the usual format does not have to be parsed.
        let time = if is_in_utc(&text) { text } else { in_utc(&text)? };
        let range = match self {
            DatePart::Year => 0..4,
            DatePart::Month => 5..7,
            DatePart::Day => 8..10,
            DatePart::Hour => 11..13,
            DatePart::Date => 0..10,
        };
        time.get(range).map(str::to_owned)
    }
}

/// Whether a text has the format `2026-08-01T00:00:00.015Z`.
fn is_in_utc(text: &str) -> bool {
    let is_fit = |(place, byte): (usize, u8)| match place {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        19 => matches!(byte, b'.' | b'Z'),
        _ => byte.is_ascii_digit(),
    };
    text.len() >= 20 && text.ends_with('Z') && text.bytes().take(20).enumerate().all(is_fit)
}

fn in_utc(text: &str) -> Option<String> {
    let mut json = String::new();
    write_string(&mut json, text);
    let value = JsonValue::of_text(&json);
    let time = convert_time(value, Reading::Any, &Writing::Rfc3339, &Zone::UTC)?;
    JsonValue::of_text(&time).as_string().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests;
