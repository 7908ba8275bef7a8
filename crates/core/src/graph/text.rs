//! How wide a text will be. Fonts differ between machines, so widths are those of a wide common one (DejaVu Sans): a
//! text that fits here fits elsewhere.

/// Width of one character at a font size of 1.
fn width_of(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '|' | '\'' | '.' | ',' | ':' | ';' | '!' | 'I' | ' ' | '`' => 0.33,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '/' | '\\' | '-' | '"' => 0.40,
        'm' | 'w' | 'M' | 'W' | '%' | '@' | '…' => 0.98,
        'A'..='Z' | '<' | '>' | '=' | '+' | '~' | '#' | '≤' | '≥' => 0.76,
        '\0'..='~' => 0.62,
        // Letters of the scripts that fit into one column, then everything else, which may be twice as wide.
        '\u{a0}'..='\u{10ff}' | '\u{2010}'..='\u{206f}' => 0.72,
        _ => 1.05,
    }
}

/// Width of a text in a font of `size` pixels.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(width_of).sum::<f64>() * size
}

/// The text, or as much of its beginning as fits with an ellipsis.
pub(super) fn fitted(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut left = room - width_of('…') * size;
    let kept: String = text
        .chars()
        .take_while(|c| {
            left -= width_of(*c) * size;
            left >= 0.0
        })
        .collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_does_not_fit_ends_in_an_ellipsis_and_fits_then() {
        assert_eq!(fitted("short", 13.0, 100.0), "short");
        let cut = fitted("a rather long name of a state", 13.0, 100.0);
        assert!(cut.ends_with('…') && width(&cut, 13.0) <= 100.0, "{cut}");
        assert_eq!(fitted("名前が長い状態", 13.0, 10.0), "…");
    }
}
