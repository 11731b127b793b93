//! Reads lists of names, page by page.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::control_plane::ControlPlane;
use super::error_kind::missing_member;
use crate::limits;
use standpipe_aws::{AwsError, JsonFields};

/// Table names in one page of the list, the maximum of DynamoDB.
const CATALOG_PAGE_TABLES: usize = 100;

/// Maximum number of listed streams or tables: twenty times the quota of an account in a region. It
/// limits memory if a list never ends.
const CATALOG_NAMES_MAX: usize = 100_000;

/// A list of names, and why it may be incomplete.
#[derive(Debug, Default)]
pub(super) struct ListedNames {
    /// The names in the order of the responses, without duplicates.
    pub(super) names: Vec<String>,
    known: HashSet<String>,
    /// Why the list is incomplete, or `None` if it is complete.
    pub(super) cut_off: Option<String>,
}

/// How a service returns a list in pages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NameList {
    pub(super) operation: &'static str,
    page: usize,
    /// The member of a response that contains the names.
    names: &'static str,
    /// The parameter for the name after which to continue.
    start: &'static str,
    next: NextPage,
}

/// How a response indicates that there are more names.
#[derive(Debug, Clone, Copy)]
enum NextPage {
    /// By a flag: the list continues after the last name. If the flag is missing, it is unknown
    /// whether the page is the last one.
    Flag(&'static str),
    /// By the name after which to continue.
    Name(&'static str),
}

pub(crate) const STREAMS: NameList = NameList {
    operation: "ListDeliveryStreams",
    page: limits::CATALOG_PAGE_STREAMS,
    names: "DeliveryStreamNames",
    start: "ExclusiveStartDeliveryStreamName",
    next: NextPage::Flag("HasMoreDeliveryStreams"),
};

pub(crate) const TABLES: NameList = NameList {
    operation: "ListTables",
    page: CATALOG_PAGE_TABLES,
    names: "TableNames",
    start: "ExclusiveStartTableName",
    next: NextPage::Name("LastEvaluatedTableName"),
};

impl NameList {
    /// Reads all pages. An error after the first page ends the list early.
    ///
    /// # Errors
    ///
    /// Fails if the first page cannot be read.
    pub(super) async fn read_all(self, control: &ControlPlane) -> Result<ListedNames, AwsError> {
        let mut listed = ListedNames::default();
        let mut start = None;
        loop {
            let request = self.page_request(start.as_deref());
            let answer =
                control.call_api(limits::CATALOG_ATTEMPTS_MAX, self.operation, &request).await;
            let next = match answer {
                // Without a first page, it is unknown whether there are any names.
                Ok(answer) if start.is_none() && self.names_of(&answer).is_none() => {
                    return Err(missing_member(self.names));
                }
                Ok(answer) => self.add_page(&answer, &mut listed).map_err(str::to_owned),
                Err(error) if start.is_none() => return Err(error),
                Err(error) => Err(error.to_string()),
            };
            match next {
                Ok(Some(name)) => start = Some(name),
                Ok(None) => return Ok(listed),
                Err(why) => {
                    listed.cut_off = Some(why);
                    return Ok(listed);
                }
            }
        }
    }

    /// Reads the names of the first page, with at most this number of attempts.
    pub(crate) async fn first_page(
        self,
        control: &ControlPlane,
        attempts_max: u32,
    ) -> Result<Vec<String>, AwsError> {
        let request = self.page_request(None);
        let answer = control.call_api(attempts_max, self.operation, &request).await?;
        let names = self.names_of(&answer).ok_or_else(|| missing_member(self.names))?;
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    fn page_request(self, start: Option<&str>) -> Value {
        let mut request = json!({"Limit": self.page});
        if let Some(start) = start {
            request[self.start] = start.into();
        }
        request
    }

    /// The names of a page. `None` unless the page has a list that contains only names.
    fn names_of(self, answer: &Value) -> Option<Vec<&str>> {
        JsonFields::new(answer).names(self.names)
    }

    /// Adds the names of a page. Returns the name after which the list continues, or why it ends
    /// early. Each page must contain a new name, because the list might otherwise never end.
    fn add_page(
        self,
        answer: &Value,
        listed: &mut ListedNames,
    ) -> Result<Option<String>, &'static str> {
        let page = self.names_of(answer).ok_or("a response has no list of names")?;
        let last = page.last().map(|&name| name.to_owned());
        let ListedNames { names, known, .. } = listed;
        let before = names.len();
        names.extend(page.into_iter().map(str::to_owned).filter(|name| known.insert(name.clone())));
        let answer = JsonFields::new(answer);
        let next = match self.next {
            NextPage::Name(key) if !answer.has(key) => return Ok(None),
            NextPage::Name(key) => answer
                .text(key)
                .ok_or("a response does not say which name to continue after")?
                .to_owned(),
            NextPage::Flag(key) => match answer.is(key) {
                Some(false) => return Ok(None),
                Some(true) => last.ok_or("a page is empty but not the last")?,
                None => return Err("a response does not say whether it is the last"),
            },
        };
        match names.len() {
            after if after == before => Err("a page has no new name but is not the last"),
            CATALOG_NAMES_MAX.. => Err("there are more names than the limit"),
            _ => Ok(Some(next)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads these pages. Returns the names, and the name with which the last page was requested.
    fn read_pages(list: NameList, pages: &[Value]) -> (Vec<String>, &'static str) {
        let mut listed = ListedNames::default();
        for page in pages {
            match list.add_page(page, &mut listed) {
                Ok(Some(_)) => (),
                Ok(None) => return (listed.names, "end"),
                Err(why) => return (listed.names, why),
            }
        }
        (listed.names, "more")
    }

    fn streams_page(names: &[&str], has_more: bool) -> Value {
        json!({"DeliveryStreamNames": names, "HasMoreDeliveryStreams": has_more})
    }

    #[test]
    fn pages_are_put_together() {
        let (names, end) =
            read_pages(STREAMS, &[streams_page(&["a", "b"], true), streams_page(&["c"], false)]);
        assert_eq!((names.join(""), end), ("abc".to_owned(), "end"));
        let pages = [
            json!({"TableNames": ["a"], "LastEvaluatedTableName": "a"}),
            json!({"TableNames": ["b"]}),
        ];
        let (names, end) = read_pages(TABLES, &pages);
        assert_eq!((names.join(""), end), ("ab".to_owned(), "end"));
        assert_eq!(read_pages(STREAMS, &[streams_page(&[], false)]).1, "end");
    }

    #[test]
    fn a_list_that_may_have_no_end_is_cut_off() {
        for (pages, names, word) in [
            (vec![streams_page(&["a"], true), streams_page(&[], true)], 1, "empty"),
            (vec![streams_page(&["a"], true), streams_page(&["a"], true)], 1, "no new name"),
            (vec![streams_page(&["a"], true), json!({})], 1, "no list"),
            (
                vec![json!({"DeliveryStreamNames": ["a", 1], "HasMoreDeliveryStreams": false})],
                0,
                "no list",
            ),
            (vec![json!({"DeliveryStreamNames": ["a"]})], 1, "does not say"),
            (
                vec![json!({"DeliveryStreamNames": ["a"], "HasMoreDeliveryStreams": "true"})],
                1,
                "does not say",
            ),
        ] {
            let (found, end) = read_pages(STREAMS, &pages);
            assert!(found.len() == names && end.contains(word), "{pages:?}: {end}");
        }
        let page = json!({"TableNames": [], "LastEvaluatedTableName": "a"});
        assert!(read_pages(TABLES, &[page]).1.contains("no new name"));
        for last in [json!(1), json!(""), json!({"name": "a"}), json!(["a"])] {
            let page = json!({"TableNames": ["a"], "LastEvaluatedTableName": last});
            assert!(read_pages(TABLES, &[page]).1.contains("does not say"), "{last}");
        }
        let page = json!({"TableNames": ["a"], "LastEvaluatedTableName": null});
        assert_eq!(read_pages(TABLES, &[page]).1, "end");
    }

    #[test]
    fn a_request_goes_on_behind_the_last_name() {
        assert_eq!(STREAMS.page_request(None), json!({"Limit": 1000}));
        let next = json!({"Limit": 100, "ExclusiveStartTableName": "t"});
        assert_eq!(TABLES.page_request(Some("t")), next);
    }

    fn any_pages() -> impl Strategy<Value = Vec<(Vec<String>, bool)>> {
        let names = prop::collection::vec("[ab]{1,2}", 0..4);
        prop::collection::vec((names, any::<bool>()), 0..6)
    }

    proptest! {
        #[test]
        fn no_name_is_told_twice(pages in any_pages()) {
            let pages: Vec<_> = pages
                .iter()
                .map(|(names, more)| json!({"DeliveryStreamNames": names, "HasMoreDeliveryStreams": more}))
                .collect();
            let (names, _) = read_pages(STREAMS, &pages);
            prop_assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        }
    }
}
