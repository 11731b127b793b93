//! Splits a policy document at IAM's size limit into the smallest number of documents.

use super::{PolicyDocument, PolicyStatement};

/// Splits a document into the smallest number of documents, in the same order, of at most this
/// number of characters as counted by IAM. A statement that exceeds the limit alone gets its own
/// document.
pub fn split_document(document: &PolicyDocument, chars_max: usize) -> Vec<PolicyDocument> {
    let mut documents = Vec::new();
    let mut open = PolicyDocument::default();
    for statement in &document.statements {
        for resource in &statement.resources {
            let mut longer = open.clone();
            add_resource(&mut longer, statement, resource);
            if !open.statements.is_empty() && longer.character_count() > chars_max {
                documents.push(open);
                longer = PolicyDocument::default();
                add_resource(&mut longer, statement, resource);
            }
            open = longer;
        }
    }
    documents.push(open);
    documents
}

fn add_resource(document: &mut PolicyDocument, statement: &PolicyStatement, resource: &str) {
    match document.statements.last_mut() {
        Some(last) if last.sid == statement.sid => last.resources.push(resource.to_owned()),
        _ => {
            let resources = vec![resource.to_owned()];
            document.statements.push(PolicyStatement { resources, ..statement.clone() });
        }
    }
}
