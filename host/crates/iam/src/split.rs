//! Divides a policy document at IAM's size limit into the fewest documents.

use super::{Document, Statement};

/// Divide a document into the fewest documents, in the same order, of at most so
/// many characters each as IAM counts them. What no document can hold is one of
/// its own.
pub fn split(document: &Document, chars_max: usize) -> Vec<Document> {
    let mut documents = Vec::new();
    let mut open = Document::default();
    for statement in &document.statements {
        for resource in &statement.resources {
            if !fits(&mut open, statement, resource, chars_max) {
                documents.push(std::mem::take(&mut open));
                add(&mut open, statement, resource);
            }
        }
    }
    documents.push(open);
    documents
}

/// Add a resource unless that makes the document too long. The first one is
/// always taken.
fn fits(document: &mut Document, statement: &Statement, resource: &str, chars_max: usize) -> bool {
    let is_first = document.statements.is_empty();
    add(document, statement, resource);
    if is_first || document.chars() <= chars_max {
        return true;
    }
    remove_last(document);
    false
}

fn add(document: &mut Document, statement: &Statement, resource: &str) {
    match document.statements.last_mut() {
        Some(last) if last.sid == statement.sid => last.resources.push(resource.to_owned()),
        _ => {
            let resources = vec![resource.to_owned()];
            document.statements.push(Statement { resources, ..statement.clone() });
        }
    }
}

fn remove_last(document: &mut Document) {
    let last = document.statements.last_mut().expect("something has been added");
    last.resources.pop();
    if last.resources.is_empty() {
        document.statements.pop();
    }
}
