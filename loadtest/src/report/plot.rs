//! Line plots as inline SVG. Colours are classes, which the page gives a light and a dark value.

use std::fmt::Write;

/// A plot of one or more lines over one horizontal axis. The vertical axis begins at 0.
#[derive(Debug, Clone)]
pub struct Plot {
    /// What it shows.
    pub title: &'static str,
    /// Unit of the vertical axis.
    pub unit: &'static str,
    /// What the horizontal axis is.
    pub x_label: &'static str,
    /// Marks of the horizontal axis: place from 0 to 1, and text.
    pub x_marks: Vec<(f64, String)>,
    /// The lines.
    pub lines: Vec<Line>,
}

/// One line.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its name in the legend.
    pub name: &'static str,
    /// Its points: place from 0 to 1, and value. A value that is not there leaves a hole.
    pub points: Vec<(f64, Option<f64>)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 44.0;

impl Plot {
    /// As an `<svg>` element.
    pub fn svg(&self) -> String {
        let marks = marks(self.highest());
        let top = marks.last().copied().unwrap_or(1.0);
        let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - BOTTOM - TOP);
        let x = |place: f64| LEFT + place * (WIDTH - LEFT - RIGHT);
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0}\"><title>{0}</title>\n",
            escape(self.title)
        );
        // Writing to a string does not fail.
        for mark in &marks {
            let (at, text) = (y(*mark), number(*mark));
            let _ = writeln!(svg, "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{:.1}\"/>", WIDTH - RIGHT);
            let _ = writeln!(
                svg,
                "<text class=\"y\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>",
                LEFT - 8.0,
                at + 4.0
            );
        }
        for (place, text) in &self.x_marks {
            let (at, base) = (x(*place), HEIGHT - BOTTOM);
            let _ = writeln!(svg, "<path class=\"grid\" d=\"M{at:.1} {base:.1}v5\"/>");
            let _ = writeln!(
                svg,
                "<text class=\"x\" x=\"{at:.1}\" y=\"{:.1}\">{}</text>",
                base + 19.0,
                escape(text)
            );
        }
        let _ = writeln!(
            svg,
            "<text class=\"x\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\n<text x=\"8\" y=\"16\">{}</text>",
            x(0.5),
            HEIGHT - 6.0,
            escape(self.x_label),
            escape(self.unit)
        );
        for (index, line) in self.lines.iter().enumerate() {
            let _ = writeln!(svg, "<path class=\"line s{index}\" d=\"{}\"/>", path(&line.points, x, y));
        }
        self.legend(&mut svg);
        svg.push_str("</svg>\n");
        svg
    }

    fn legend(&self, svg: &mut String) {
        let mut at = WIDTH - RIGHT;
        for (index, line) in self.lines.iter().enumerate().rev() {
            at -= line.name.chars().count() as f64 * 6.6 + 34.0;
            let _ = writeln!(
                svg,
                "<path class=\"line s{index}\" d=\"M{at:.1} 12h16\"/><text x=\"{:.1}\" y=\"16\">{}</text>",
                at + 22.0,
                escape(line.name)
            );
        }
    }
    fn highest(&self) -> f64 {
        let values = self.lines.iter().flat_map(|line| line.points.iter().filter_map(|(_, value)| *value));
        values.fold(0.0, f64::max)
    }
}

/// A path through the points that are there.
fn path(points: &[(f64, Option<f64>)], x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) -> String {
    let mut path = String::new();
    let mut pen_down = false;
    for &(place, value) in points {
        if let Some(value) = value {
            let _ = write!(path, "{}{:.1} {:.1}", if pen_down { 'L' } else { 'M' }, x(place), y(value));
        }
        pen_down = value.is_some();
    }
    path
}

/// Round numbers from 0 to at least `highest`: 4 to 8 steps of 1, 2 or 5 times a power of ten.
fn marks(highest: f64) -> Vec<f64> {
    let highest = if highest > 0.0 { highest } else { 1.0 };
    let power = 10f64.powf((highest / 5.0).log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| highest / step <= 6.0);
    let step = step.unwrap_or(10.0 * power);
    (0..=(highest / step).ceil() as u32).map(|index| f64::from(index) * step).collect()
}

/// At most three digits after the point.
pub fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// For text between tags and in attributes.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_reach_over_the_highest() {
        assert_eq!(marks(57.0), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
        assert_eq!(marks(0.9), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(marks(0.0).last(), Some(&1.0));
        for highest in [0.001, 3.0, 7.0, 49.9, 20_000.0] {
            let marks = marks(highest);
            assert!(
                (4..=8).contains(&marks.len()) && *marks.last().unwrap() >= highest,
                "{highest}: {marks:?}"
            );
        }
    }

    #[test]
    fn a_value_that_is_not_there_leaves_a_hole() {
        let points = [(0.0, Some(1.0)), (0.1, Some(2.0)), (0.2, None), (0.3, Some(3.0))];
        assert_eq!(path(&points, |x| x * 10.0, |y| y), "M0.0 1.0L1.0 2.0M3.0 3.0");
    }
}
