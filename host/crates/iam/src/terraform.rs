//! Documents in Terraform's words, laid out as `terraform fmt` would.

use std::fmt::Write as _;

use super::{Document, Statement};

/// Policies that can be attached to a role, with the documents that they are
/// made of. Several are numbered from 1.
pub fn policies(documents: &[Document]) -> String {
    let blocks = documents.iter().enumerate().map(|(index, document)| {
        let name = match documents {
            [_] => "standpipe".to_owned(),
            _ => format!("standpipe_{}", index + 1),
        };
        let attached = format!(
            "resource \"aws_iam_policy\" \"{name}\" {{\n  name   = \"{}\"\n  \
             policy = data.aws_iam_policy_document.{name}.json\n}}\n",
            name.replace('_', "-")
        );
        format!("{}\n{attached}", data(&name, document))
    });
    blocks.collect::<Vec<_>>().join("\n")
}

/// A role with this trust policy.
pub fn role(trust: &Document) -> String {
    let role = "resource \"aws_iam_role\" \"standpipe\" {\n  name               = \"standpipe\"\n  \
                assume_role_policy = data.aws_iam_policy_document.standpipe_trust.json\n}\n";
    format!("{}\n{role}", data("standpipe_trust", trust))
}

fn data(name: &str, document: &Document) -> String {
    let statements: Vec<_> = document.statements.iter().map(statement).collect();
    format!("data \"aws_iam_policy_document\" \"{name}\" {{\n{}}}\n", statements.join("\n"))
}

fn statement(statement: &Statement) -> String {
    let mut text = format!("  statement {{\n    sid    = {}\n", quoted(statement.sid));
    text += "    effect = \"Allow\"\n\n";
    list(&mut text, "    actions", &statement.actions);
    if !statement.resources.is_empty() {
        text += "\n";
        list(&mut text, "    resources", &statement.resources);
    }
    if !statement.principals.is_empty() {
        text += "\n    principals {\n      type = \"AWS\"\n\n";
        list(&mut text, "      identifiers", &statement.principals);
        text += "    }\n";
    }
    if !statement.external_ids.is_empty() {
        text += "\n    condition {\n      test     = \"StringEquals\"\n      \
                 variable = \"sts:ExternalId\"\n\n";
        list(&mut text, "      values", &statement.external_ids);
        text += "    }\n";
    }
    text + "  }\n"
}

fn list(text: &mut String, name: &str, values: &[impl AsRef<str>]) {
    let indent = name.len() - name.trim_start().len();
    let _ = writeln!(text, "{name} = [");
    for value in values {
        let _ = writeln!(text, "{:indent$}  {},", "", quoted(value.as_ref()));
    }
    let _ = writeln!(text, "{:indent$}]", "");
}

/// A string of Terraform's. `${` and `%{` would begin templates; no name of
/// ours holds them, but nothing here depends on that.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace("${", "$${").replace("%{", "%%{"))
}
