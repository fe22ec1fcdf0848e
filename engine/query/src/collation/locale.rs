//! Names of locales, ICU's way.
//!
//! Promises: languages are those for which the manual lists a collation ("Collation Locales and Default
//! Parameters"). Deliberately unknown: options that are not part of a locale's name.

use icu_locale_core::Locale;

/// Languages that MongoDB knows.
const LANGUAGES: [&str; 103] = [
    "af", "am", "ar", "as", "az", "be", "bg", "bn", "bo", "br", "bs", "ca", "ceb", "chr", "cs", "cy", "da",
    "de", "dsb", "dz", "ee", "el", "en", "eo", "es", "et", "fa", "fi", "fil", "fo", "fr", "ga", "gl", "gu",
    "ha", "haw", "he", "hi", "hr", "hsb", "hu", "hy", "id", "ig", "is", "it", "ja", "ka", "kk", "kl", "km",
    "kn", "ko", "kok", "ky", "lb", "lkt", "ln", "lo", "lt", "lv", "mk", "ml", "mn", "mr", "ms", "mt", "my",
    "nb", "ne", "nl", "nn", "no", "om", "or", "pa", "pl", "ps", "pt", "ro", "ru", "se", "si", "sk", "sl",
    "smn", "sq", "sr", "sv", "sw", "ta", "te", "th", "to", "tr", "ug", "uk", "ur", "uz", "vi", "wo", "yo",
    "zh",
];
/// More of them, by three letters or rarer.
const MORE_LANGUAGES: [&str; 6] = ["bem", "sh", "wae", "xh", "yi", "zu"];

/// ICU's names of collation types that Unicode's locale identifiers shorten.
const TYPES: [(&str, &str); 4] =
    [("phonebook", "phonebk"), ("traditional", "trad"), ("dictionary", "dict"), ("gb2312han", "gb2312")];

/// Languages in the root order, which alone can be read backwards as French in Canada is.
const UNTAILORED: [&str; 12] = ["de", "en", "fr", "ga", "id", "it", "lb", "ms", "nl", "pt", "sw", "zu"];

/// The locale of that name, such as `en_US`, `sr_Latn` or `zh@collation=stroke`.
pub(super) fn parse(name: &str) -> Option<Locale> {
    let (name, keyword) = name.split_once('@').map_or((name, None), |(name, keyword)| (name, Some(keyword)));
    let mut tag = match name {
        "en_US_POSIX" => "en-US-u-va-posix".to_owned(),
        name if name.contains('-') => return None,
        name => name.replace('_', "-"),
    };
    if let Some(keyword) = keyword {
        let kind = keyword.strip_prefix("collation=")?;
        let short = TYPES.iter().find(|(long, _)| *long == kind).map_or(kind, |(_, short)| short);
        tag = format!("{tag}-u-co-{short}");
    }
    let locale: Locale = tag.parse().ok()?;
    let language = locale.id.language.as_str();
    (LANGUAGES.contains(&language) || MORE_LANGUAGES.contains(&language)).then_some(locale)
}

/// Whether the locale reads accents from the end of a string.
pub(super) fn is_backwards(locale: &Locale) -> bool {
    locale.id.language.as_str() == "fr" && locale.id.region.is_some_and(|region| region.as_str() == "CA")
}

/// The locale with the same order but for the direction in which it reads accents, if there is one.
pub(super) fn turned(locale: &Locale, backwards: bool) -> Option<Locale> {
    if is_backwards(locale) == backwards {
        return Some(locale.clone());
    }
    let untailored = UNTAILORED.contains(&locale.id.language.as_str()) && locale.extensions.is_empty();
    untailored.then(|| if backwards { "fr-CA" } else { "fr" }.parse().ok()).flatten()
}
