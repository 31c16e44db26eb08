//! Latency against load as a picture (SVG): one panel for each kind of work, both axes logarithmic.

use core::fmt::Write as _;

/// A panel: one kind of work.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) server: Vec<Point>,
    /// Of the endpoint that it is compared with; may be empty.
    pub(super) floor: Vec<Point>,
}

/// A measurement: requests a second, and milliseconds that half and 99 of 100 of them took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Point {
    pub(super) per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

const COLUMNS: usize = 3;
const PANEL_WIDTH: f64 = 300.0;
const PANEL_HEIGHT: f64 = 220.0;
const LEGEND_HEIGHT: f64 = 30.0;
/// Between the edge of a panel and its axes: left, top, right, bottom.
const MARGIN: [f64; 4] = [48.0, 26.0, 14.0, 34.0];
/// Powers of ten that an axis may reach.
const EXPONENTS: core::ops::RangeInclusive<i32> = -6..=9;

/// How the four kinds of lines look.
const LINES: [(&str, &str, &str); 4] = [
    ("server p50", "#1f6feb", ""),
    ("server p99", "#c9341c", ""),
    ("floor p50", "#1f6feb", " stroke-dasharray=\"4 3\""),
    ("floor p99", "#c9341c", " stroke-dasharray=\"4 3\""),
];

/// The picture.
pub(super) fn svg(panels: &[Panel]) -> String {
    let rows = panels.len().div_ceil(COLUMNS);
    let columns = panels.len().clamp(1, COLUMNS);
    let (width, height) =
        (number(columns) * PANEL_WIDTH, number(rows) * PANEL_HEIGHT + LEGEND_HEIGHT);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<title>Latency against load</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    let mut x = 12.0;
    for (name, color, dashes) in LINES {
        write(
            &mut out,
            format_args!(
                "<path d=\"M{x:.0} 16h22\" stroke=\"{color}\" stroke-width=\"2\"{dashes}/>\
             <text x=\"{:.0}\" y=\"20\">{name}</text>\n",
                x + 28.0
            ),
        );
        x += 106.0;
    }
    for (index, panel) in panels.iter().enumerate() {
        let (column, row) = (index % COLUMNS, index / COLUMNS);
        let (x, y) = (number(column) * PANEL_WIDTH, number(row) * PANEL_HEIGHT + LEGEND_HEIGHT);
        write(&mut out, format_args!("<g transform=\"translate({x:.0} {y:.0})\">\n"));
        draw(&mut out, panel);
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, panel: &Panel) {
    let [left, top, right, bottom] = MARGIN;
    write(
        out,
        format_args!(
            "<text x=\"{left:.0}\" y=\"16\" font-weight=\"bold\">{}</text>\n",
            escaped(&panel.title)
        ),
    );
    let points = || panel.server.iter().chain(&panel.floor);
    let loads = Axis::of(points().map(|point| point.per_second));
    let times = Axis::of(points().flat_map(|point| [point.p50_ms, point.p99_ms]));
    let (Some(loads), Some(times)) = (loads, times) else {
        write(out, format_args!("<text x=\"{left:.0}\" y=\"60\">nothing was measured</text>\n"));
        return;
    };
    let (width, height) = (PANEL_WIDTH - left - right, PANEL_HEIGHT - top - bottom);
    let x_of = |value: f64| left + loads.place(value) * width;
    let y_of = |value: f64| top + (1.0 - times.place(value)) * height;
    let (floor_y, far_x) = (top + height, left + width);
    for value in loads.ticks() {
        let x = x_of(value);
        write(
            out,
            format_args!(
                "<path d=\"M{x:.1} {top:.1}V{floor_y:.1}\" stroke=\"#dddddd\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
                floor_y + 14.0,
                short(value)
            ),
        );
    }
    for value in times.ticks() {
        let y = y_of(value);
        write(
            out,
            format_args!(
                "<path d=\"M{left:.1} {y:.1}H{far_x:.1}\" stroke=\"#dddddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
                left - 5.0,
                y + 4.0,
                short(value)
            ),
        );
    }
    write(
        out,
        format_args!(
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">requests/s</text>\
         <text x=\"4\" y=\"{:.0}\">ms</text>\n",
            left + width / 2.0,
            floor_y + 28.0,
            top + 4.0
        ),
    );
    draw_lines(out, panel, &|point, value| (x_of(point.per_second), y_of(value)));
}

/// What is drawn of a point.
type Of = fn(&Point) -> f64;

/// The four lines of a panel; `place` says where a point lies.
fn draw_lines(out: &mut String, panel: &Panel, place: &dyn Fn(&Point, f64) -> (f64, f64)) {
    let of: [(&[Point], Of); 4] = [
        (&panel.server, |point| point.p50_ms),
        (&panel.server, |point| point.p99_ms),
        (&panel.floor, |point| point.p50_ms),
        (&panel.floor, |point| point.p99_ms),
    ];
    for ((points, value), (_, color, dashes)) in of.into_iter().zip(LINES) {
        let is_there = |point: &&Point| is_drawn(point.per_second) && is_drawn(value(point));
        let mut points: Vec<&Point> = points.iter().filter(is_there).collect();
        points.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
        let mut path = String::new();
        let mut dots = String::new();
        for point in points {
            let (x, y) = place(point, value(point));
            let step = if path.is_empty() { 'M' } else { 'L' };
            write(&mut path, format_args!("{step}{x:.1} {y:.1}"));
            write(
                &mut dots,
                format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.2\" fill=\"{color}\"/>\n"),
            );
        }
        write(
            out,
            format_args!(
                "<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" \
                 stroke-width=\"1.5\"{dashes}/>\n{dots}"
            ),
        );
    }
}

/// A logarithmic axis from one power of ten to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    from: i32,
    to: i32,
}

impl Axis {
    /// The shortest on which all values have a place; `None` without values.
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let drawn: Vec<f64> = values.filter(|value| is_drawn(*value)).collect();
        let least = drawn.iter().copied().reduce(f64::min)?;
        let most = drawn.iter().copied().reduce(f64::max)?;
        let from = EXPONENTS.rev().find(|exponent| power(*exponent) <= least);
        let to = EXPONENTS.clone().find(|exponent| power(*exponent) >= most);
        let (from, to) = (from.unwrap_or(*EXPONENTS.start()), to.unwrap_or(*EXPONENTS.end()));
        Some(Self { from: from.min(to - 1), to })
    }

    /// Where a value lies, from 0 to 1.
    fn place(self, value: f64) -> f64 {
        let share = (value.log10() - f64::from(self.from)) / f64::from(self.to - self.from);
        share.clamp(0.0, 1.0)
    }

    fn ticks(self) -> impl Iterator<Item = f64> {
        (self.from..=self.to).map(power)
    }
}

fn power(exponent: i32) -> f64 {
    10_f64.powi(exponent)
}

/// Whether a logarithm has it.
fn is_drawn(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

/// A power of ten as people write it.
fn short(value: f64) -> String {
    match value {
        value if value >= 1_000_000.0 => format!("{:.0}M", value / 1_000_000.0),
        value if value >= 1_000.0 => format!("{:.0}k", value / 1_000.0),
        value => format!("{value}"),
    }
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Text as XML has it.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            other if other.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

fn write(out: &mut String, text: core::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(per_second: f64, p50_ms: f64, p99_ms: f64) -> Point {
        Point { per_second, p50_ms, p99_ms }
    }

    #[test]
    fn axes_reach_from_power_to_power() {
        #[track_caller]
        fn check(values: &[f64], expected: Option<(i32, i32)>) {
            let axis = Axis::of(values.iter().copied());
            assert_eq!(axis.map(|axis| (axis.from, axis.to)), expected, "{values:?}");
        }
        check(&[20.0, 500.0], Some((1, 3)));
        check(&[0.02], Some((-2, -1)));
        check(&[10.0], Some((0, 1)));
        check(&[1e-9, 1e12], Some((-6, 9)));
        check(&[], None);
        check(&[0.0, -1.0, f64::NAN, f64::INFINITY], None);
        let axis = Axis { from: 0, to: 2 };
        let places = [1.0, 10.0, 100.0, 1e9, 0.1].map(|value| axis.place(value));
        assert_eq!(places, [0.0, 0.5, 1.0, 1.0, 0.0]);
        assert_eq!(axis.ticks().map(short).collect::<Vec<_>>(), ["1", "10", "100"]);
        assert_eq!([0.01, 1e4, 1e6].map(short), ["0.01", "10k", "1M"]);
    }

    #[test]
    fn every_point_is_drawn_in_its_panel() {
        let panel = |title: &str| Panel {
            title: title.to_owned(),
            server: vec![point(100.0, 1.0, 10.0), point(10.0, 1.0, 1.0)],
            floor: vec![point(100.0, 0.1, 1.0)],
        };
        let text = svg(&[panel("a<b>&\"c\u{7}"), panel("b"), panel("c"), panel("d")]);
        assert_eq!(text.matches("<circle").count(), 4 * 6);
        assert_eq!(text.matches("<g ").count(), 4);
        assert_eq!(text.matches("<g ").count(), text.matches("</g>").count());
        assert!(text.contains("viewBox=\"0 0 900 470\""), "{text}");
        assert!(text.contains("a&lt;b&gt;&amp;&quot;c "), "{text}");
        // From the left, whatever the order in which they were measured.
        assert!(text.contains("d=\"M48.0 106.0L286.0 106.0\""), "{text}");
    }

    #[test]
    fn what_cannot_be_drawn_is_left_out() {
        let text = svg(&[Panel { title: "a".to_owned(), ..Panel::default() }]);
        assert!(text.contains("nothing was measured"), "{text}");
        let bad =
            [point(0.0, 1.0, 1.0), point(f64::NAN, 1.0, 1.0), point(10.0, 0.0, f64::INFINITY)];
        let text = svg(&[Panel { title: "a".to_owned(), server: bad.to_vec(), floor: vec![] }]);
        assert_eq!(text.matches("<circle").count(), 0, "{text}");
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        assert!(svg(&[]).ends_with("</svg>\n"));
    }
}
