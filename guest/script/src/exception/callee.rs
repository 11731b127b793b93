//! Finds the expression that a script calls, because V8 quotes it in errors.

/// The expression that is called at a position of a line, such as `event.context.find`, and whether
/// it is called with `new`. `None` if it consists of more than names.
pub(super) fn find_callee(line: &str, column: usize) -> Option<(&str, bool)> {
    // QuickJS counts characters from 1.
    let at = line.char_indices().nth(column.checked_sub(1)?)?.0;
    let end = at + chain_length(&line[at..])?;
    if !line[end..].trim_start().starts_with('(') {
        return None;
    }
    let mut start = at;
    loop {
        let before = &line[..start];
        let is_name_before = before.chars().next_back().is_some_and(is_name_character);
        if is_name_before {
            // The position is within a name, which is none that QuickJS gives.
            return None;
        }
        let Some(object) = before.strip_suffix('.') else { break };
        let object_start = object.rfind(|character| !is_name_character(character));
        let object_start = object_start.map_or(0, |position| {
            position + object[position..].chars().next().map_or(1, char::len_utf8)
        });
        if object_start == object.len() {
            // The object is the result of a call or an element.
            return None;
        }
        start = object_start;
    }
    let before = line[..start].trim_end();
    let is_new = before.strip_suffix("new").is_some_and(|rest| {
        before.len() < start && !rest.chars().next_back().is_some_and(is_name_character)
    });
    Some((&line[start..end], is_new))
}

/// Whether a variable of this name, and no member of it, stands at a position of a line.
pub(super) fn is_variable_at(line: &str, column: usize, name: &str) -> bool {
    let Some(at) = column.checked_sub(1).and_then(|column| line.char_indices().nth(column)) else {
        return false;
    };
    let (before, rest) = line.split_at(at.0);
    let Some(after) = rest.strip_prefix(name) else { return false };
    let is_whole = !after.chars().next().is_some_and(is_name_character);
    let has_member = after.trim_start().starts_with(['.', '[', '?']);
    is_whole && !has_member && !before.trim_end().ends_with('.')
}

/// The length of names with dots between them.
fn chain_length(text: &str) -> Option<usize> {
    let mut length = 0;
    loop {
        let name = text[length..].find(|character| !is_name_character(character));
        let name = name.unwrap_or(text.len() - length);
        if name == 0 {
            return None;
        }
        length += name;
        if !text[length..].starts_with('.') {
            return Some(length);
        }
        length += 1;
    }
}

fn is_name_character(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '$' | '#')
}
