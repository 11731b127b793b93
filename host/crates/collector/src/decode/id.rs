//! Ids in events: cleaned, and derived from other ids.

use std::borrow::Cow;

use md5::{Digest, Md5};

use standpipe_core::event::string;
use standpipe_core::message_id::{QuotedUuid, quoted_uuid};

/// RudderStack's id for the user of an event: the MD5 of both cleaned ids, with the bits of a
/// version 4 UUID.
#[derive(Debug, Default)]
pub(super) struct RudderIds {
    /// The ids of the last event, because consecutive events often have the same user.
    ids: Vec<u8>,
    next_ids: Vec<u8>,
    last: Option<QuotedUuid>,
}

impl RudderIds {
    pub(super) fn make_id(&mut self, user_id: &str, anonymous_id: &str) -> QuotedUuid {
        self.next_ids.clear();
        self.next_ids.extend_from_slice(user_id.as_bytes());
        self.next_ids.push(b':');
        self.next_ids.extend_from_slice(anonymous_id.as_bytes());
        if let Some(last) = self.last.filter(|_| self.ids == self.next_ids) {
            return last;
        }
        let id = quoted_uuid(Md5::digest(&self.next_ids).into());
        std::mem::swap(&mut self.ids, &mut self.next_ids);
        self.last = Some(id);
        id
    }
}

/// Cleans a value that is used as an id: removes invisible characters, and surrounding spaces. A
/// value that is not a string becomes its text; null becomes empty.
pub(super) fn clean_id(value: Option<&str>) -> Cow<'_, str> {
    let Some(value) = value.filter(|value| *value != "null") else { return Cow::Borrowed("") };
    let Some(string) = string(value) else { return Cow::Borrowed(value) };
    // The loop does not end early, so that many bytes are processed at once.
    if string.bytes().fold(true, |all, byte| all & byte.is_ascii_graphic()) {
        return string;
    }
    let visible: String = string.chars().filter(|it| !is_invisible(*it)).collect();
    Cow::Owned(visible.trim_matches(' ').to_owned())
}

/// Whether a character is invisible, except for the space. RudderStack also removes characters that
/// Unicode has not assigned. That requires tables and is not done here.
fn is_invisible(character: char) -> bool {
    let code = u32::from(character);
    character.is_control()
        || character != ' ' && character.is_whitespace()
        || matches!(
            code,
            0xad | 0x34f
                | 0x600..=0x605
                | 0x61c
                | 0x6dd
                | 0x70f
                | 0x890..=0x891
                | 0x8e2
                | 0x115f..=0x1160
                | 0x17b4..=0x17b5
                | 0x180e
                | 0x200b..=0x200f
                | 0x202a..=0x202e
                | 0x2060..=0x206f
                | 0x2800
                | 0x3164
                | 0xe000..=0xf8ff
                | 0xfeff
                | 0xffa0
                | 0xfff9..=0xfffb
                | 0x110bd
                | 0x110cd
                | 0x13430..=0x1343f
                | 0x1bca0..=0x1bca3
                | 0x1d173..=0x1d17a
                | 0xe0001..=0xe007f
                | 0xf_0000..=0x10_ffff
        )
        || code & 0xfffe == 0xfffe
}
