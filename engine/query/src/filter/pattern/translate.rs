//! From PCRE's syntax to that of `fancy_regex`.
//!
//! Promises: what both read alike is passed on as it is, and so are mistakes, for the compiler to report.
//! Spelled out are: `\d \w \s`, which are ASCII in PCRE; `$` and `\Z`, which allow for a newline at the end;
//! `\h \v \R \N`, quoting with `\Q…\E`, octal and control characters, braces that begin no repetition, and
//! brackets and set operators in a class, where PCRE has no nesting. Deliberately unknown: whether the
//! pattern is valid.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

const DIGIT: &str = "0-9";
const WORD: &str = "A-Za-z0-9_";
const SPACE: &str = r"\t\n\x0B\f\r\x20";
const HORIZONTAL: &str = r"\t\x20\x{A0}\x{1680}\x{180E}\x{2000}-\x{200A}\x{202F}\x{205F}\x{3000}";
/// At the end, or before the newline that ends the text; takes up nothing of it.
const BEFORE_END: &str = r"(?=\n?\z)";
const VERTICAL: &str = r"\n\x0B\f\r\x{85}\x{2028}\x{2029}";

/// The pattern as `fancy_regex` writes it, for the same options.
pub(super) fn translate(pattern: &str, options: &str) -> String {
    let mut translator = Translator {
        rest: pattern.chars().peekable(),
        out: String::with_capacity(pattern.len() + 16),
        multi_line: options.contains('m') || switches_multi_line(pattern),
        extended: options.contains('x'),
    };
    translator.run();
    translator.out
}

/// Whether a group within the pattern may switch on the option `m`.
fn switches_multi_line(pattern: &str) -> bool {
    let flags = |group: &str| group.split([')', ':', '-']).next().is_some_and(|flags| flags.contains('m'));
    pattern.split("(?").skip(1).any(flags)
}

struct Translator<'p> {
    rest: Peekable<Chars<'p>>,
    out: String,
    multi_line: bool,
    extended: bool,
}

impl Translator<'_> {
    fn run(&mut self) {
        while let Some(next) = self.rest.next() {
            match next {
                '\\' => self.escape(),
                '[' => self.class(),
                '{' if !self.at_repetition() => self.out.push_str(r"\{"),
                '$' if !self.multi_line => self.out.push_str(BEFORE_END),
                '#' if self.extended => self.take_past('\n'),
                '(' if self.is_next("?#") => self.take_past(')'),
                '(' if self.is_next("?'") => {
                    self.rest.nth(1);
                    let name = self.take_until('\'');
                    let _ = write!(self.out, "(?<{name}>");
                }
                other => self.out.push(other),
            }
        }
    }

    /// What follows a backslash outside of classes.
    fn escape(&mut self) {
        let Some(next) = self.rest.next() else { return self.out.push('\\') };
        if let Some((set, negated)) = set_of(next) {
            let _ = write!(self.out, "[{}{set}]", if negated { "^" } else { "" });
            return;
        }
        match next {
            'R' => {
                let _ = write!(self.out, r"(?:\r\n|[{VERTICAL}])");
            }
            'N' => self.out.push_str(r"[^\n]"),
            'Z' => self.out.push_str(BEFORE_END),
            'g' | 'k'
                if self.rest.peek().is_some_and(|open| matches!(open, '{' | '\'' | '-' | '0'..='9')) =>
            {
                let close = match self.rest.peek() {
                    Some('{') => Some('}'),
                    Some('\'') => Some('\''),
                    _ => None,
                };
                let name = match close {
                    Some(close) => {
                        self.rest.next();
                        self.take_until(close)
                    }
                    None => self.take_while(3, |next| next == '-' || next.is_ascii_digit()),
                };
                let _ = write!(self.out, r"\k<{name}>");
            }
            next => self.escape_anywhere(next),
        }
    }

    /// What a backslash means within classes and without.
    fn escape_anywhere(&mut self, next: char) {
        match next {
            'Q' => self.quoted(),
            'E' => {}
            'e' => self.character(0x1B),
            'c' => {
                let control =
                    self.rest.next().map_or(0, |letter| u32::from(letter.to_ascii_uppercase()) ^ 64);
                self.character(control);
            }
            'x' if self.rest.peek() != Some(&'{') => {
                let digits = self.take_while(2, |next| next.is_ascii_hexdigit());
                self.character(u32::from_str_radix(&digits, 16).unwrap_or(0));
            }
            'o' if self.rest.peek() == Some(&'{') => {
                self.rest.next();
                let digits = self.take_until('}');
                self.character(u32::from_str_radix(&digits, 8).unwrap_or(u32::MAX));
            }
            '0' => {
                let digits = self.take_while(2, |next| matches!(next, '0'..='7'));
                self.character(u32::from_str_radix(&digits, 8).unwrap_or(0));
            }
            'p' | 'P' | 'x' if self.rest.peek() == Some(&'{') => {
                let inside = self.take_until('}');
                let _ = write!(self.out, "\\{next}{inside}}}");
            }
            letter if letter.is_ascii_alphanumeric() => {
                self.out.push('\\');
                self.out.push(letter);
            }
            literal => self.literal(literal),
        }
    }

    /// A class, after its opening bracket.
    fn class(&mut self) {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        if self.rest.next_if_eq(&']').is_some() {
            self.out.push_str(r"\]");
        }
        while let Some(next) = self.rest.next() {
            match next {
                ']' => return self.out.push(']'),
                '[' if self.at_posix_name() => {
                    let name = self.take_until(']');
                    let _ = write!(self.out, "[{name}]");
                }
                '\\' => self.escape_in_class(),
                '-' => {
                    self.out.push('-');
                    if self.rest.next_if_eq(&'-').is_some() {
                        self.out.push_str(r"\-");
                    }
                }
                '[' | '&' | '~' | '#' | ' ' | '\t'..='\r' => self.literal(next),
                other => self.out.push(other),
            }
        }
    }

    fn escape_in_class(&mut self) {
        let Some(next) = self.rest.next() else { return self.out.push('\\') };
        match (set_of(next), next) {
            (Some((set, false)), _) => self.out.push_str(set),
            (Some((set, true)), _) => {
                let _ = write!(self.out, "[^{set}]");
            }
            (None, 'b') => self.character(0x08),
            (None, '1'..='7') => {
                let more = self.take_while(2, |next| matches!(next, '0'..='7'));
                self.character(u32::from_str_radix(&format!("{next}{more}"), 8).unwrap_or(0));
            }
            (None, next) => self.escape_anywhere(next),
        }
    }

    /// The characters up to `\E`, as they are.
    fn quoted(&mut self) {
        while let Some(next) = self.rest.next() {
            if next == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return;
            }
            self.literal(next);
        }
    }

    /// One character that stands for itself, in classes and without, whatever the options.
    fn literal(&mut self, literal: char) {
        if literal.is_ascii() && !literal.is_ascii_alphanumeric() {
            self.character(literal.into());
        } else {
            self.out.push(literal);
        }
    }

    fn character(&mut self, code: u32) {
        let _ = write!(self.out, "\\x{{{code:X}}}");
    }

    /// Whether a brace that was just read begins a repetition: `{2}`, `{2,}` or `{2,5}`.
    fn at_repetition(&self) -> bool {
        let inside: String = self.rest.clone().take_while(|next| *next != '}').take(12).collect();
        let closed = self.rest.clone().nth(inside.chars().count()) == Some('}');
        let (least, most) = inside.split_once(',').unwrap_or((&inside, ""));
        let digits = |text: &str| text.chars().all(|next| next.is_ascii_digit());
        closed && !least.is_empty() && digits(least) && digits(most)
    }

    /// Whether a bracket that was just read in a class begins a name like `[:alpha:]`.
    fn at_posix_name(&self) -> bool {
        let mut rest = self.rest.clone();
        rest.next() == Some(':')
            && rest.find(|next| !next.is_ascii_alphabetic() && *next != '^') == Some(':')
            && rest.next() == Some(']')
    }

    fn is_next(&self, text: &str) -> bool {
        let mut rest = self.rest.clone();
        text.chars().all(|wanted| rest.next() == Some(wanted))
    }

    fn take_past(&mut self, end: char) {
        self.rest.by_ref().find(|next| *next == end);
    }

    fn take_until(&mut self, end: char) -> String {
        self.rest.by_ref().take_while(|next| *next != end).collect()
    }

    fn take_while(&mut self, most: usize, wanted: fn(char) -> bool) -> String {
        let mut taken = String::new();
        while taken.len() < most
            && let Some(next) = self.rest.next_if(|next| wanted(*next))
        {
            taken.push(next);
        }
        taken
    }
}

/// The characters of a class that a letter after a backslash stands for, and whether it is those or all
/// others.
fn set_of(letter: char) -> Option<(&'static str, bool)> {
    let set = match letter.to_ascii_lowercase() {
        'd' => DIGIT,
        'w' => WORD,
        's' => SPACE,
        'h' => HORIZONTAL,
        'v' => VERTICAL,
        _ => return None,
    };
    Some((set, letter.is_ascii_uppercase()))
}
