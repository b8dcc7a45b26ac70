//! `sasl.jaas.config`: a Java class and its options.
//!
//! Only reads the text; what class and options mean is for others. Its values may be secrets: nothing here repeats them.
//!
//! Source: Kafka's documentation of `sasl.jaas.config`, "loginModuleClass controlFlag (optionName=optionValue)*;".

use std::collections::BTreeMap;

/// A login module as the text names it.
pub(super) struct Module {
    /// The name of the class, with its package.
    pub(super) class: String,
    pub(super) options: BTreeMap<String, String>,
}

/// The module, or `None` when the text is none.
pub(super) fn read(text: &str) -> Option<Module> {
    let mut words = words(text)?.into_iter();
    let class = words.next().filter(|word| word != ";" && word != "=")?;
    let flag = words.next()?;
    if !["required", "requisite", "sufficient", "optional"].iter().any(|known| flag.eq_ignore_ascii_case(known)) {
        return None;
    }
    let mut options = BTreeMap::new();
    loop {
        match words.next()?.as_str() {
            ";" => return words.next().is_none().then_some(Module { class, options }),
            name => match (words.next()?.as_str(), words.next()) {
                ("=", Some(value)) if value != ";" => options.insert(name.to_owned(), value),
                _ => return None,
            },
        };
    }
}

/// Words, quoted texts without their quotes, and the signs `=` and `;`. `None` when a quote is not closed.
fn words(text: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            letter if letter.is_whitespace() => {}
            '=' | ';' => found.push(letter.to_string()),
            '"' | '\'' => {
                let mut word = String::new();
                loop {
                    match letters.next()? {
                        '\\' => word.push(escaped(letters.next()?)),
                        end if end == letter => break,
                        inside => word.push(inside),
                    }
                }
                found.push(word);
            }
            first => {
                let mut word = String::from(first);
                while let Some(next) = letters.next_if(|next| !next.is_whitespace() && !"=;\"'".contains(*next)) {
                    word.push(next);
                }
                found.push(word);
            }
        }
    }
    Some(found)
}

fn escaped(letter: char) -> char {
    match letter {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    //! Texts as people write them.

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, &[(&str, &str)])>) {
        let found = read(text).map(|module| (module.class, module.options));
        let expected = expected.map(|(class, options)| {
            let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            (class.to_owned(), options)
        });
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_class_a_flag_and_options_end_with_a_semicolon() {
        check("a.B required;", Some(("a.B", &[])));
        check(" a.B  Required ; ", Some(("a.B", &[])));
        check(
            r#"a.B required x="1" y='two "words"' z=3;"#,
            Some(("a.B", &[("x", "1"), ("y", "two \"words\""), ("z", "3")])),
        );
        check(r#"a.B required secret="q\"u\\o;te=";"#, Some(("a.B", &[("secret", "q\"u\\o;te=")])));
    }

    #[test]
    fn anything_else_is_no_module() {
        for text in
            ["", ";", "a.B", "a.B required", "a.B maybe;", "a.B required x;", "a.B required x=;", "a.B required x=\"1;"]
        {
            check(text, None);
        }
        check("a.B required; c.D required;", None);
    }
}
