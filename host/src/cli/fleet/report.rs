//! The status of a fleet, and the result of a change, as text and as JSON.

use serde::Serialize;

use standpipe_core::escape::one_line;
use standpipe_core::text_table::render_table;
use standpipe_queue::fleet::{
    ActiveReport, CandidateState, FleetChangeOutcome, FleetReport, HostReport, RulesReport,
};

/// Hexadecimal digits of a SHA-256 that a table shows.
const SHA256_SHOWN: usize = 12;

pub(super) fn to_json(report: &impl Serialize) -> String {
    serde_json::to_string_pretty(report).expect("a report has string keys")
}

pub(super) fn pushed_text(pushed: &FleetChangeOutcome) -> String {
    let FleetChangeOutcome {
        generation,
        is_unchanged,
        hosts,
        late_hosts,
        loaded_ms,
        deleted_components,
    } = pushed;
    let verb = if *is_unchanged { "was active before" } else { "is active" };
    let mut text = format!(
        "generation {generation} {verb}; loaded by {} of {} hosts after {loaded_ms} ms\n",
        hosts.len(),
        hosts.len() + late_hosts.len()
    );
    if !late_hosts.is_empty() {
        text += &format!(
            "late: {}; these hosts take no events from the queue until they have loaded it: see `host fleet status` and their logs\n",
            late_hosts.join(", ")
        );
    }
    if !deleted_components.is_empty() {
        let shown = deleted_components.iter().map(|sha256| short_sha256(sha256));
        text += &format!("deleted old plugins: {}\n", shown.collect::<Vec<_>>().join(", "));
    }
    text
}

pub(super) fn status_text(report: &FleetReport) -> String {
    let mut text = match &report.active {
        None => "no rules: each host uses the plugin of its own settings; `host fleet push` changes all hosts\n".to_owned(),
        Some(active) => active_text(active),
    };
    if let Some(generation) = report.candidate_generation {
        text += &format!("candidate  generation {generation}\n");
    }
    if report.hosts.is_empty() {
        return text + "\nno host has reported in the last hour\n";
    }
    let header = ["HOST", "ALIVE", "GENERATION", "PLUGIN", "CANDIDATE", "CANARY", "LAST ERROR"];
    text + "\n" + &render_table(header, report.hosts.iter().map(host_row))
}

fn active_text(active: &ActiveReport) -> String {
    let ActiveReport { generation, rules, previous, canary, canary_hosts } = active;
    let mut text = format!("active     generation {generation}: {}\n", rules_text(rules));
    if let Some(canary) = canary {
        text += &format!("canary     on {}: {}\n", canary_hosts.join(", "), rules_text(canary));
    }
    if let Some(previous) = previous {
        text += &format!("previous   {}\n", rules_text(previous));
    }
    text
}

fn rules_text(rules: &RulesReport) -> String {
    let settings = if rules.has_settings { "pushed settings" } else { "settings of each host" };
    let signed = if rules.is_signed { ", signed" } else { "" };
    let origin = one_line(&rules.origin);
    format!("{origin}, {}, {settings}{signed}", short_sha256(&rules.sha256))
}

fn host_row(host: &HostReport) -> [String; 7] {
    let alive = match host.is_alive {
        true => "yes".to_owned(),
        false => format!("no, for {} s", host.age_ms / 1000),
    };
    let Some(report) = &host.report else {
        let problem = host.problem.clone().unwrap_or_default();
        return [host.name.clone(), alive, "?".into(), "?".into(), "?".into(), "?".into(), problem];
    };
    let (candidate, rejection) = match &report.candidate {
        None => ("-".to_owned(), None),
        Some(candidate) => {
            let number = candidate.generation;
            match &candidate.state {
                CandidateState::Preparing => (format!("{number} preparing"), None),
                CandidateState::Ready => (format!("{number} ready"), None),
                CandidateState::Rejected { step, reason } => {
                    (format!("{number} rejected"), Some(format!("{step}: {reason}")))
                }
            }
        }
    };
    let problem = report.problem.clone().or(rejection).unwrap_or_else(|| "-".to_owned());
    let plugin = report.sha256.as_deref().map_or("own".to_owned(), short_sha256);
    let canary = if report.is_canary { "yes" } else { "no" };
    [
        host.name.clone(),
        alive,
        report.generation.to_string(),
        plugin,
        candidate,
        canary.to_owned(),
        problem,
    ]
}

fn short_sha256(sha256: &str) -> String {
    sha256.chars().take(SHA256_SHOWN).collect()
}
