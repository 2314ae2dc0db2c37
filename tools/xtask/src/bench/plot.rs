//! A plot of lines as SVG: few points, no dependency.

use std::fmt::Write as _;

/// One line of a plot.
pub struct Series {
    /// What the legend calls it.
    pub name: &'static str,
    /// x and y.
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
/// Room for the axes' numbers and names.
const EDGE: f64 = 60.0;
const COLOURS: [&str; 4] = ["#0b4a6a", "#c0392b", "#e08e0b", "#2e7d32"];

/// Lines over two axes that begin at zero.
pub fn plot(x_name: &str, y_name: &str, series: &[Series]) -> String {
    let all = || series.iter().flat_map(|series| series.points.iter().copied());
    let most = |pick: fn((f64, f64)) -> f64| all().map(pick).fold(0.0, f64::max) * 1.05;
    let (x_most, y_most) = (most(|point| point.0).max(1.0), most(|point| point.1).max(0.1));
    let x = |value: f64| EDGE + value / x_most * (WIDTH - 2.0 * EDGE);
    let y = |value: f64| HEIGHT - EDGE - value / y_most * (HEIGHT - 2.0 * EDGE);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <path d=\"M{EDGE} {EDGE}V{bottom}H{right}\" fill=\"none\" stroke=\"#333\"/>\n\
         <text x=\"{middle}\" y=\"{low}\" text-anchor=\"middle\">{x_name}</text>\n\
         <text x=\"{EDGE}\" y=\"{high}\">{y_name}</text>\n",
        bottom = HEIGHT - EDGE,
        right = WIDTH - EDGE,
        middle = WIDTH / 2.0,
        low = HEIGHT - 18.0,
        high = EDGE - 14.0,
    );
    for tick in 1..=4 {
        let value = y_most * f64::from(tick) / 4.0;
        let at = y(value);
        let _ = writeln!(svg, "<path d=\"M{EDGE} {at:.1}H{}\" stroke=\"#ddd\"/>", WIDTH - EDGE);
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value:.2}</text>", EDGE - 6.0, at + 4.0);
    }
    let mut numbers: Vec<f64> = all().map(|point| point.0).collect();
    numbers.sort_by(f64::total_cmp);
    numbers.dedup();
    for value in numbers {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{value}</text>",
            x(value),
            HEIGHT - EDGE + 16.0
        );
    }
    for (n, Series { name, points }) in series.iter().enumerate() {
        let colour = COLOURS[n % COLOURS.len()];
        let path: Vec<String> = points.iter().map(|(px, py)| format!("{:.1},{:.1}", x(*px), y(*py))).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join(" ")
        );
        for (px, py) in points {
            let _ = writeln!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{colour}\"/>", x(*px), y(*py));
        }
        let at = EDGE + 8.0 + 18.0 * n as f64;
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{at}\" fill=\"{colour}\">{name}</text>", WIDTH - EDGE - 260.0);
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_drawn_inside_and_higher_values_are_higher() {
        let points = vec![(4.0, 0.3), (132.0, 0.9)];
        let svg = plot("Sites", "CPU", &[Series { name: "one", points }]);
        let centre = |n: usize, axis: &str| {
            let circle = svg.split("<circle ").nth(n).unwrap();
            circle.split(axis).nth(1).unwrap().split('"').nth(1).unwrap().parse::<f64>().unwrap()
        };
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(centre(1, "cy") > centre(2, "cy") && centre(1, "cx") < centre(2, "cx"));
        assert!((EDGE..=WIDTH - EDGE).contains(&centre(2, "cx")) && (EDGE..=HEIGHT - EDGE).contains(&centre(2, "cy")));
    }
}
