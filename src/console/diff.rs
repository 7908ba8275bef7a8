//! The difference of two texts by lines. Pure.

/// A line of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'t> {
    Same(&'t str),
    Removed(&'t str),
    Added(&'t str),
}

/// Lines between the common beginning and end that are compared with each other; beyond it all are removed and added.
const LINES_MAX: usize = 2_000;

/// The lines of both: those that are common in both orders, and between them what goes and comes.
pub fn lines<'t>(old: &'t str, new: &'t str) -> Vec<Line<'t>> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (a, b) = (&old[head..], &new[head..]);
    let tail = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[..a.len() - tail], &b[..b.len() - tail]);
    let mut all: Vec<Line<'_>> = old[..head].iter().map(|line| Line::Same(line)).collect();
    if a.len() > LINES_MAX || b.len() > LINES_MAX {
        all.extend(a.iter().map(|line| Line::Removed(line)));
        all.extend(b.iter().map(|line| Line::Added(line)));
    } else {
        middle(a, b, &mut all);
    }
    all.extend(old[old.len() - tail..].iter().map(|line| Line::Same(line)));
    all
}

/// By the longest common subsequence.
fn middle<'t>(a: &[&'t str], b: &[&'t str], all: &mut Vec<Line<'t>>) {
    let width = b.len() + 1;
    // How many lines the ends of both from here on have in common.
    let mut common = vec![0_u16; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i * width + j] = if a[i] == b[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        if a[i] == b[j] {
            all.push(Line::Same(a[i]));
            (i, j) = (i + 1, j + 1);
        } else if common[(i + 1) * width + j] >= common[i * width + j + 1] {
            all.push(Line::Removed(a[i]));
            i += 1;
        } else {
            all.push(Line::Added(b[j]));
            j += 1;
        }
    }
    all.extend(a[i..].iter().map(|line| Line::Removed(line)));
    all.extend(b[j..].iter().map(|line| Line::Added(line)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_goes_and_comes_is_told_between_what_stays() {
        let shown: Vec<String> = lines("a\nb\nc\nd", "a\nc\nx\nd")
            .into_iter()
            .map(|line| match line {
                Line::Same(text) => format!(" {text}"),
                Line::Removed(text) => format!("-{text}"),
                Line::Added(text) => format!("+{text}"),
            })
            .collect();
        assert_eq!(shown, [" a", "-b", " c", "+x", " d"]);
        assert_eq!(lines("", ""), []);
    }

    proptest! {
        #[test]
        fn both_texts_can_be_read_from_their_difference(old in "[abc\n]{0,40}", new in "[abc\n]{0,40}") {
            let all = lines(&old, &new);
            let side = |old: bool| -> Vec<&str> {
                let of = |line: &Line<'_>| !matches!((line, old), (Line::Removed(_), false) | (Line::Added(_), true));
                all.iter().filter(|line| of(line)).map(|line| match line {
                    Line::Same(text) | Line::Removed(text) | Line::Added(text) => *text,
                }).collect()
            };
            prop_assert_eq!(side(true), old.lines().collect::<Vec<_>>());
            prop_assert_eq!(side(false), new.lines().collect::<Vec<_>>());
        }
    }
}
