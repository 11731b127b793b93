//! The libraries that scripts import: those of the settings, and RudderStack's own ones.
//!
//! A library is imported by the camel case of its name, as in RudderStack. It is compiled when it is
//! first imported, and its bytecode is kept.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use rquickjs::loader::{ImportAttributes, Loader, Resolver};
use rquickjs::module::Declared;
use rquickjs::{Ctx, Exception, Module};

use crate::engine::{compile_module, load_module};
use crate::settings::SourceFile;

/// The libraries of rudderlabs/rudder-libraries at 38143f4, unmodified, by the names that scripts
/// import.
const RUDDERSTACK: &[(&str, &str)] = &[
    ("@rs/encrypt/v1", include_str!("../libraries/rudderstack/encrypt/v1.js")),
    ("@rs/hash/v1", include_str!("../libraries/rudderstack/hash/v1.js")),
    (
        "@rs/localizeAppleDeviceModel/v1",
        include_str!("../libraries/rudderstack/localizeAppleDeviceModel/v1.js"),
    ),
    ("@rs/userAgentParser/v1", include_str!("../libraries/rudderstack/userAgentParser/v1.js")),
];

/// The libraries by the names that scripts import.
#[derive(Clone)]
pub(crate) struct Libraries(Rc<RefCell<HashMap<String, Library>>>);

enum Library {
    Source(String),
    /// Code that is built in.
    BuiltIn(&'static str),
    Bytecode(Vec<u8>),
}

impl Libraries {
    /// Takes the libraries of the settings.
    ///
    /// # Errors
    ///
    /// Fails if two libraries are imported by the same name.
    pub(crate) fn new(files: &[SourceFile]) -> Result<Self, String> {
        let mut libraries: HashMap<_, _> = RUDDERSTACK
            .iter()
            .map(|(name, code)| ((*name).to_owned(), Library::BuiltIn(code)))
            .collect();
        let mut file_names = HashMap::new();
        for SourceFile { name: file, code } in files {
            let name = camel_case(file);
            if let Some(other) = file_names.insert(name.clone(), file) {
                return Err(format!(
                    "the libraries `{other}` and `{file}` are both imported as `{name}`: \
                     rename one of them"
                ));
            }
            libraries.insert(name, Library::Source(code.clone()));
        }
        Ok(Libraries(Rc::new(RefCell::new(libraries))))
    }
}

impl Resolver for Libraries {
    fn resolve<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        _base: &str,
        name: &str,
        _attributes: Option<ImportAttributes<'js>>,
    ) -> rquickjs::Result<String> {
        if self.0.borrow().contains_key(name) {
            return Ok(name.to_owned());
        }
        Err(Exception::throw_message(ctx, &format!("import from {name} failed. Module not found.")))
    }
}

impl Loader for Libraries {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _attributes: Option<ImportAttributes<'js>>,
    ) -> rquickjs::Result<Module<'js, Declared>> {
        let mut libraries = self.0.borrow_mut();
        let library = libraries.get_mut(name).ok_or_else(|| rquickjs::Error::new_loading(name))?;
        let code = match library {
            Library::Bytecode(bytecode) => return load_module(ctx, bytecode),
            Library::Source(code) => code.clone(),
            Library::BuiltIn(code) => (*code).to_owned(),
        };
        // Errors name a library so in RudderStack.
        let bytecode = compile_module(ctx, &SourceFile { name: format!("library {name}"), code })?;
        let module = load_module(ctx, &bytecode);
        *library = Library::Bytecode(bytecode);
        module
    }
}

/// A name in camel case, as lodash writes it: `my lib_v2` becomes `myLibV2`.
fn camel_case(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for (position, word) in words(name).into_iter().enumerate() {
        let word = word.to_lowercase();
        let mut characters = word.chars();
        match characters.next() {
            Some(first) if position > 0 => text.extend(first.to_uppercase()),
            Some(first) => text.push(first),
            None => {}
        }
        text.push_str(characters.as_str());
    }
    text
}

/// The words of a name: capitals, small letters and digits are words of their own, but a capital
/// belongs to the small letters after it. Apostrophes belong to their word.
fn words(name: &str) -> Vec<String> {
    #[derive(PartialEq, Clone, Copy)]
    enum Kind {
        Upper,
        Lower,
        Digit,
        Other,
    }
    let kind_of = |character: char| match character {
        _ if character.is_uppercase() => Kind::Upper,
        _ if character.is_numeric() => Kind::Digit,
        _ if character.is_alphabetic() => Kind::Lower,
        _ => Kind::Other,
    };
    let mut words = Vec::<String>::new();
    let mut last = Kind::Other;
    for character in name.chars().filter(|character| !matches!(character, '\'' | '\u{2019}')) {
        let kind = kind_of(character);
        match (last, kind) {
            (_, Kind::Other) => {}
            (Kind::Upper, Kind::Lower) => {
                // Of several capitals, the last one begins this word.
                if let Some(capitals) = words.last_mut()
                    && capitals.chars().count() > 1
                    && let Some(capital) = capitals.pop()
                {
                    words.push(String::from(capital));
                }
                words.last_mut().expect("there is a word before").push(character);
            }
            _ if last == kind => words.last_mut().expect("there is a word before").push(character),
            _ => words.push(String::from(character)),
        }
        last = kind;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_in_camel_case_as_lodash_does() {
        for (name, expected) in [
            ("js Lib1", "jsLib1"),
            ("my-lib_v2", "myLibV2"),
            ("HTMLParser", "htmlParser"),
            ("XMLHttpRequest", "xmlHttpRequest"),
            ("fooBar", "fooBar"),
            ("lib2Go", "lib2Go"),
            ("my_lib.min", "myLibMin"),
            ("URLTools", "urlTools"),
            ("hash256", "hash256"),
            ("--Foo--Bar--", "fooBar"),
            ("user's lib", "usersLib"),
            ("lib2go", "lib2Go"),
            ("A", "a"),
            ("", ""),
        ] {
            assert_eq!(camel_case(name), expected, "{name}");
        }
    }

    #[test]
    fn two_libraries_cannot_have_the_same_name() {
        let file = |name: &str| SourceFile { name: name.to_owned(), code: String::new() };
        let error = Libraries::new(&[file("my lib"), file("my-lib")]).err();
        let expected =
            "the libraries `my lib` and `my-lib` are both imported as `myLib`: rename one of them";
        assert_eq!(error.as_deref(), Some(expected));
    }
}
