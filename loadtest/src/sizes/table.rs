//! All sizes as a table: a row for each size and server, and below it the range of the passes.

use super::figures::{COLUMNS, Column, SizeFigures, SizesFigures, Spread, Summary};

const LEGEND: &str = "late: how late ticks began, µs; CPU, floor: µs a client-tick; RSS, down: a client";
const PASSES: &str = "medians of the passes; below them, least–most";

/// The table.
pub fn sizes(figures: &SizesFigures) -> String {
    let compared = figures.sizes.iter().any(|size| size.against.is_some());
    let mut rows = vec![heading(compared)];
    rows.extend(figures.sizes.iter().flat_map(|size| size_rows(size, compared)));
    let several = figures.sizes.iter().any(|size| size.passes.len() > 1);
    let passes = if several { [PASSES, "\n"].concat() } else { String::new() };
    format!("{} Hz over {}\n{LEGEND}\n{passes}\n{}", figures.tick_rate, figures.transport, align(&rows))
}

fn heading(compared: bool) -> Vec<String> {
    let labels = ["rooms of"].into_iter().chain(compared.then_some(""));
    labels.chain(COLUMNS.iter().map(|column| column.heading)).map(str::to_owned).collect()
}

fn size_rows(size: &SizeFigures, compared: bool) -> Vec<Vec<String>> {
    let mut rows = summary_rows("server", &size.server, "-", figure);
    rows.extend(size.against.iter().flat_map(|against| summary_rows("against", against, "-", figure)));
    rows.extend(size.server_over_against.iter().flat_map(|over| summary_rows("ratio", over, "", ratio)));
    for (index, row) in rows.iter_mut().enumerate() {
        if !compared {
            row.remove(0);
        }
        row.insert(0, if index == 0 { size.rooms_of.to_string() } else { String::new() });
    }
    rows
}

fn figure(column: &Column, value: f64) -> String {
    format!("{:.*}", column.digits, value * column.scale)
}

fn ratio(_: &Column, value: f64) -> String {
    format!("{value:.2}")
}

/// The medians, and where passes differ, their ranges.
fn summary_rows(
    name: &str,
    summary: &Summary,
    none: &str,
    show: fn(&Column, f64) -> String,
) -> Vec<Vec<String>> {
    let row = |name: &str, none: &str, of: &dyn Fn(&Column, &Spread) -> String| {
        let cell =
            |column: &Column| summary.get(column.key).map_or(none.to_owned(), |spread| of(column, spread));
        [name.to_owned()].into_iter().chain(COLUMNS.iter().map(cell)).collect::<Vec<_>>()
    };
    let medians = row(name, none, &|column, spread| show(column, spread.median));
    let ranges = row("", "", &|column, spread| range(show(column, spread.least), &show(column, spread.most)));
    let differ = ranges.iter().any(|range| !range.is_empty());
    [medians].into_iter().chain(differ.then_some(ranges)).collect()
}

/// Nothing, if the passes do not differ in what is shown.
fn range(least: String, most: &str) -> String {
    if least == most { String::new() } else { least + "–" + most }
}

/// To the right, each column as wide as it must be.
fn align(rows: &[Vec<String>]) -> String {
    let mut widths = vec![0; rows.iter().map(Vec::len).max().unwrap_or(0)];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &Vec<String>| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:>width$}")).collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::figures::Pass, *};
    use crate::figures::{Figures, ServerFigures};
    use driftless_links::Quantiles;

    fn played(cpu: f64, rss: Option<f64>) -> Figures {
        Figures {
            connected: 100,
            delivered_ratio: Some(0.99999),
            tick_lateness_us: Some(Quantiles { p50: 70.4, p99: 400.0, p999: 2_000.0, max: 3_000.0 }),
            bytes_down_per_client_s: Some(1_234.5),
            server: ServerFigures { cpu_us_per_client_tick: Some(cpu), rss_bytes_per_client: rss },
            ..Figures::default()
        }
    }
    fn table(sizes: Vec<SizeFigures>) -> String {
        let table = super::sizes(&SizesFigures { transport: "quic", tick_rate: 20, sizes });
        let (head, rows) = table.split_once("\n\n").unwrap();
        assert!(head.starts_with("20 Hz over quic\n"), "{head}");
        rows.to_owned()
    }

    #[test]
    fn one_pass_is_one_row_a_size() {
        let size = |rooms_of, cpu| {
            SizeFigures::new(rooms_of, vec![Pass { server: played(cpu, Some(2048.0)), against: None }])
        };
        assert_eq!(
            table(vec![size(1, 31.0), size(50, 12.345)]),
            "\
rooms of  clients  delivered %  late p50  p99  p99.9  CPU µs  floor µs  × floor  RSS KiB  down B/s
       1      100       99.999        70  400   2000   31.00         -        -      2.0      1234
      50      100       99.999        70  400   2000   12.35         -        -      2.0      1234
"
        );
    }

    #[test]
    fn passes_of_two_servers_are_medians_with_ranges_and_their_ratio() {
        let pass = |cpu, other| Pass { server: played(cpu, None), against: Some(played(other, None)) };
        let size = SizeFigures::new(4, vec![pass(10.0, 20.0), pass(30.0, 20.0), pass(18.0, 20.0)]);
        let table = table(vec![size]);
        let cells = |row: &str| row.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(
            table.lines().skip(1).map(cells).collect::<Vec<_>>(),
            [
                "4 server 100 99.999 70 400 2000 18.00 - - - 1234",
                "10.00–30.00",
                "against 100 99.999 70 400 2000 20.00 - - - 1234",
                "ratio 1.00 1.00 1.00 0.90 1.00",
                "0.50–1.50",
            ]
        );
        // What is above a range is its median.
        let end = |row: usize, cell: &str| {
            let line = table.lines().nth(row).unwrap();
            line[..line.find(cell).unwrap() + cell.len()].chars().count()
        };
        for (row, cell) in [(1, "18.00"), (2, "10.00–30.00"), (3, "20.00"), (4, "0.90"), (5, "0.50–1.50")]
        {
            assert_eq!(end(row, cell), end(0, "CPU µs"), "{cell}");
        }
    }
}
