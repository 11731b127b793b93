//! Parses a page of metrics, as strictly as the text format of OpenMetrics is specified.

use std::collections::{BTreeMap, BTreeSet};

/// All metrics of a page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    families: BTreeMap<String, MetricFamily>,
}

/// The samples under one `# TYPE`.
#[derive(Debug, Clone, PartialEq)]
struct MetricFamily {
    kind: MetricKind,
    help: String,
    samples: Vec<MetricSample>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Debug, Clone, PartialEq)]
struct MetricSample {
    name: String,
    labels: Labels,
    value: f64,
}

/// The names and values of a sample's labels.
pub type Labels = BTreeMap<String, String>;

impl Metrics {
    /// Reads a page. Anything that the format does not permit is an error with the line.
    pub fn parse(page: &str) -> Result<Metrics, String> {
        let body = page.strip_suffix("# EOF\n").ok_or("the page does not end with # EOF")?;
        let mut metrics = Metrics::default();
        let mut open: Option<(String, String)> = None;
        let mut current = String::new();
        for line in body.lines() {
            let wrong = |what: &str| format!("{what}: {line:?}");
            match line.split_once(' ') {
                Some(("#", rest)) => {
                    let (word, rest) = rest.split_once(' ').ok_or_else(|| wrong("no word"))?;
                    let (name, text) = rest.split_once(' ').ok_or_else(|| wrong("no text"))?;
                    if !is_name(name) || text.trim() != text || text.is_empty() {
                        return Err(wrong("a bad name or text"));
                    }
                    match (word, open.take()) {
                        ("HELP", None) => open = Some((name.to_owned(), text.to_owned())),
                        ("TYPE", Some((of, help))) if of == name => {
                            let kind = MetricKind::from_word(text)
                                .ok_or_else(|| wrong("an unknown type"))?;
                            let family = MetricFamily { kind, help, samples: Vec::new() };
                            if metrics.families.insert(name.to_owned(), family).is_some() {
                                return Err(wrong("a second family of this name"));
                            }
                            name.clone_into(&mut current);
                        }
                        _ => return Err(wrong("neither HELP nor the TYPE that follows it")),
                    }
                }
                _ if open.is_some() => return Err(wrong("HELP without TYPE")),
                _ => {
                    let sample = MetricSample::parse(line).ok_or_else(|| wrong("no sample"))?;
                    let family = metrics.families.get_mut(&current);
                    let family = family.ok_or_else(|| wrong("a sample of no family"))?;
                    family.add_sample(&current, sample).map_err(wrong)?;
                }
            }
        }
        match open {
            Some((name, _)) => Err(format!("HELP without TYPE: {name}")),
            None => metrics
                .families
                .values()
                .try_for_each(MetricFamily::check_histogram)
                .map(|()| metrics),
        }
    }

    /// The names as in documents: those of the samples, or of the histograms.
    pub fn names(&self) -> BTreeSet<String> {
        let name = |(name, family): (&String, &MetricFamily)| match family.kind {
            MetricKind::Counter => format!("{name}_total"),
            MetricKind::Gauge | MetricKind::Histogram => name.clone(),
        };
        self.families.iter().map(name).collect()
    }

    /// The names of the labels of a metric; `None` if it has no sample.
    pub fn labels_of(&self, name: &str) -> Option<BTreeSet<String>> {
        let family = self.families.get(name.strip_suffix("_total").unwrap_or(name))?;
        let names = |sample: &MetricSample| sample.labels.keys().cloned().collect::<BTreeSet<_>>();
        let mut labels = family.samples.first().map(names)?;
        labels.remove("le");
        Some(labels)
    }

    /// The value of one sample. Fails if there is none.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted: Labels =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut samples = self.families.values().flat_map(|family| &family.samples);
        let sample = samples.find(|sample| sample.name == name && sample.labels == wanted);
        sample.unwrap_or_else(|| panic!("no {name} of {labels:?} in {self:?}")).value
    }

    /// The sum of all samples of this name.
    pub fn sum(&self, name: &str) -> f64 {
        let samples = self.families.values().flat_map(|family| &family.samples);
        samples.filter(|sample| sample.name == name).map(|sample| sample.value).sum()
    }
}

impl MetricFamily {
    fn add_sample(&mut self, name: &str, sample: MetricSample) -> Result<(), &'static str> {
        let suffix = sample.name.strip_prefix(name).ok_or("a sample of another family")?;
        let has_bound = sample.labels.contains_key("le");
        let is_fit = match self.kind {
            MetricKind::Counter => suffix == "_total" && sample.value >= 0.0,
            MetricKind::Gauge => suffix.is_empty(),
            MetricKind::Histogram => {
                matches!((suffix, has_bound), ("_bucket", true) | ("_sum" | "_count", false))
            }
        };
        if !is_fit || (has_bound && self.kind != MetricKind::Histogram) {
            return Err("a sample that does not fit its type");
        }
        let is_same =
            |other: &MetricSample| (&other.name, &other.labels) == (&sample.name, &sample.labels);
        if self.samples.iter().any(is_same) {
            return Err("a sample that stands twice");
        }
        self.samples.push(sample);
        Ok(())
    }

    /// Whether the buckets of a histogram rise up to its count, for each of its
    /// series.
    fn check_histogram(&self) -> Result<(), String> {
        if self.kind != MetricKind::Histogram {
            return Ok(());
        }
        let mut series = BTreeMap::<Labels, Vec<&MetricSample>>::new();
        for sample in &self.samples {
            let mut labels = sample.labels.clone();
            labels.remove("le");
            series.entry(labels).or_default().push(sample);
        }
        match series.values().all(|samples| is_histogram(samples)) {
            true => Ok(()),
            false => Err(format!("an invalid histogram: {self:?}")),
        }
    }
}

fn is_histogram(samples: &[&MetricSample]) -> bool {
    let buckets = samples
        .iter()
        .filter_map(|sample| Some((sample.labels.get("le")?.parse::<f64>().ok()?, sample.value)));
    let buckets: Vec<_> = buckets.collect();
    let count = samples.iter().find(|sample| sample.name.ends_with("_count"));
    let rises = buckets.is_sorted_by(|(a, low), (b, high)| a < b && low <= high);
    let last = Some((f64::INFINITY, count.map_or(-1.0, |count| count.value)));
    rises && buckets.last().copied() == last
}

impl MetricKind {
    fn from_word(word: &str) -> Option<MetricKind> {
        match word {
            "counter" => Some(MetricKind::Counter),
            "gauge" => Some(MetricKind::Gauge),
            "histogram" => Some(MetricKind::Histogram),
            _ => None,
        }
    }
}

impl MetricSample {
    fn parse(line: &str) -> Option<MetricSample> {
        let end = line.find(['{', ' '])?;
        let (name, rest) = line.split_at(end);
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => parse_labels(rest)?,
            None => (Labels::new(), rest),
        };
        let value = value.strip_prefix(' ')?;
        let is_plain = value.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
        let value = value.parse().ok().filter(|_| is_plain)?;
        is_name(name).then(|| MetricSample { name: name.to_owned(), labels, value })
    }
}

/// Parses labels up to the closing brace. Also returns the rest of the line.
fn parse_labels(mut rest: &str) -> Option<(Labels, &str)> {
    let mut labels = Labels::new();
    loop {
        let (name, behind) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut letters = behind.char_indices();
        let end = loop {
            match letters.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match letters.next()?.1 {
                    'n' => '\n',
                    letter @ ('\\' | '"') => letter,
                    _ => return None,
                }),
                (_, letter) => value.push(letter),
            }
        };
        if !is_name(name) || name.contains(':') || labels.insert(name.to_owned(), value).is_some() {
            return None;
        }
        rest = &behind[end + 1..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return rest.strip_prefix('}').map(|behind| (labels, behind)),
        }
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_' || first == ':')
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "_:".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_pages_are_parsed() {
        let page = "# HELP a Some.\n# TYPE a counter\na_total{x=\"q\\\"\\\\\\n\",y=\"\"} 3\n# HELP b Other.\n\
                    # TYPE b histogram\nb_sum 0.5\nb_count 2\nb_bucket{le=\"1.0\"} 1\nb_bucket{le=\"+Inf\"} 2\n# EOF\n";
        let metrics = Metrics::parse(page).unwrap();
        assert_eq!(metrics.value("a_total", &[("x", "q\"\\\n"), ("y", "")]), 3.0);
        assert_eq!(metrics.names(), ["a_total", "b"].map(str::to_owned).into());
        assert_eq!(metrics.labels_of("b"), Some(BTreeSet::new()));
    }

    #[test]
    fn invalid_pages_are_refused() {
        let head = "# HELP a Some.\n# TYPE a counter\n";
        for wrong in [
            "",
            "a_total 1\n# EOF\n",
            &format!("{head}a_total 1\n"),
            &format!("{head}a_total 1\n# EOF\n\n"),
            &format!("{head}a 1\n# EOF\n"),
            &format!("{head}\n# EOF\n"),
            &format!("{head}a_total -1\n# EOF\n"),
            &format!("{head}a_total one\n# EOF\n"),
            &format!("{head}a_total 1\na_total 2\n# EOF\n"),
            &format!("{head}a_total{{x=\"1}} 1\n# EOF\n"),
            &format!("{head}a_total{{x=\"\\t\"}} 1\n# EOF\n"),
            &format!("{head}a_total{{}} 1\n# EOF\n"),
            &format!("{head}{head}# EOF\n"),
            "# TYPE a counter\n# EOF\n",
            "# HELP a Some.\n# EOF\n",
            "# HELP b x.\n# TYPE b histogram\nb_count 2\nb_bucket{le=\"+Inf\"} 1\n# EOF\n",
        ] {
            assert!(Metrics::parse(wrong).is_err(), "{wrong}");
        }
    }
}
