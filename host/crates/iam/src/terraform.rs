//! Converts documents to Terraform, in the layout of `terraform fmt`.

use std::fmt::Write as _;

use super::{PolicyDocument, PolicyStatement};

/// Policies that can be attached to a role, with their documents. If there are several, they are
/// numbered from 1.
pub fn terraform_policies(documents: &[PolicyDocument]) -> String {
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
        format!("{}\n{attached}", data_source(&name, document))
    });
    blocks.collect::<Vec<_>>().join("\n")
}

/// A role with this trust policy.
pub fn terraform_role(trust: &PolicyDocument) -> String {
    let role = "resource \"aws_iam_role\" \"standpipe\" {\n  name               = \"standpipe\"\n  \
                assume_role_policy = data.aws_iam_policy_document.standpipe_trust.json\n}\n";
    format!("{}\n{role}", data_source("standpipe_trust", trust))
}

fn data_source(name: &str, document: &PolicyDocument) -> String {
    let statements: Vec<_> = document.statements.iter().map(statement_block).collect();
    format!("data \"aws_iam_policy_document\" \"{name}\" {{\n{}}}\n", statements.join("\n"))
}

fn statement_block(statement: &PolicyStatement) -> String {
    let mut text = format!("  statement {{\n    sid    = {}\n", quote_string(statement.sid));
    text += "    effect = \"Allow\"\n\n";
    push_list(&mut text, "    actions", &statement.actions);
    if !statement.resources.is_empty() {
        text += "\n";
        push_list(&mut text, "    resources", &statement.resources);
    }
    if !statement.principals.is_empty() {
        text += "\n    principals {\n      type = \"AWS\"\n\n";
        push_list(&mut text, "      identifiers", &statement.principals);
        text += "    }\n";
    }
    if !statement.external_ids.is_empty() {
        text += "\n    condition {\n      test     = \"StringEquals\"\n      \
                 variable = \"sts:ExternalId\"\n\n";
        push_list(&mut text, "      values", &statement.external_ids);
        text += "    }\n";
    }
    text + "  }\n"
}

fn push_list(text: &mut String, name: &str, values: &[impl AsRef<str>]) {
    let indent = name.len() - name.trim_start().len();
    let _ = writeln!(text, "{name} = [");
    for value in values {
        let _ = writeln!(text, "{:indent$}  {},", "", quote_string(value.as_ref()));
    }
    let _ = writeln!(text, "{:indent$}]", "");
}

/// A Terraform string. `${` and `%{` would start templates, so they are escaped, although valid
/// names do not contain them.
fn quote_string(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace("${", "$${").replace("%{", "%%{"))
}
