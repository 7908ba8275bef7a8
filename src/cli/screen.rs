//! A live view on a terminal: each frame is drawn over the one before. Without a terminal only new lines are printed.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use super::progress::Line;

/// Turns wrapping of long lines off: a wrapped line would shift the next frame.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// The output of frames. Dropping it leaves the last frame visible.
#[derive(Debug)]
pub struct Screen<W: Write> {
    writer: W,
    live: bool,
    /// Lines of the last frame.
    drawn: Vec<Line>,
}

impl Screen<anstream::AutoStream<io::Stdout>> {
    /// Standard output: live where it is a terminal.
    #[must_use]
    pub fn stdout() -> Self {
        Self::new(anstream::stdout(), io::stdout().is_terminal())
    }
}

impl<W: Write> Screen<W> {
    pub fn new(writer: W, live: bool) -> Self {
        Self { writer, live, drawn: Vec::new() }
    }

    /// Draws a frame over the last one; the same frame again draws nothing. Not live: prints the lines that the last
    /// frame did not have.
    pub fn draw(&mut self, frame: Vec<Line>) -> io::Result<()> {
        if frame == self.drawn {
            return Ok(());
        }
        let text = if self.live {
            over(self.drawn.len(), &frame)
        } else {
            // Times change by themselves: a line counts as new when its marks, states or destinations are new.
            let seen: Vec<String> = self.drawn.iter().map(Line::gist).collect();
            frame.iter().filter(|line| !seen.contains(&line.gist())).map(|line| line.painted() + "\n").collect()
        };
        self.drawn = frame;
        self.writer.write_all(text.as_bytes())?;
        self.writer.flush()
    }

    /// Ends the view: further output (a question to the person, the history) is printed below it.
    pub fn leave(&mut self) {
        self.drawn.clear();
    }
}

/// The text that replaces the `lines` lines above the cursor by `frame`.
fn over(lines: usize, frame: &[Line]) -> String {
    let mut text = String::from(NO_WRAP);
    if lines > 0 {
        let _ = write!(text, "\x1b[{lines}A");
    }
    for line in frame {
        let _ = writeln!(text, "\r\x1b[2K{}", line.painted());
    }
    // A shorter frame leaves nothing of the longer one.
    text + "\x1b[J" + WRAP
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::Tone;

    fn line(text: &str, time: &str) -> Line {
        Line(vec![(text.to_owned(), Tone::Plain), (time.to_owned(), Tone::Waiting)])
    }

    #[test]
    fn a_frame_is_drawn_over_the_last_one() {
        let mut screen = Screen::new(Vec::new(), true);
        screen.draw(vec![line("a", ""), line("b", "")]).unwrap();
        let first = screen.writer.len();
        screen.draw(vec![line("a", ""), line("b", "")]).unwrap();
        assert_eq!(screen.writer.len(), first, "nothing changed, nothing drawn");
        screen.draw(vec![line("c", "")]).unwrap();
        let second = String::from_utf8(screen.writer[first..].to_vec()).unwrap();
        assert!(second.starts_with("\x1b[?7l\x1b[2A\r\x1b[2Kc") && second.ends_with("\x1b[J\x1b[?7h"), "{second:?}");
    }

    #[test]
    fn without_a_terminal_only_what_is_new_is_printed() {
        let mut screen = Screen::new(Vec::new(), false);
        screen.draw(vec![line("● asks", "  1 s"), line("✓ done", "")]).unwrap();
        screen.draw(vec![line("● asks", "  2 min"), line("✓ done", "")]).unwrap();
        screen.draw(vec![line("✓ asks", ""), line("✓ done", "")]).unwrap();
        let printed = anstream::adapter::strip_str(std::str::from_utf8(&screen.writer).unwrap()).to_string();
        assert_eq!(printed, "● asks  1 s\n✓ done\n✓ asks\n");
    }
}
