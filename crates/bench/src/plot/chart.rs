//! Charts of lines, below each other in one SVG.

use anyhow::{Error, Result};
use plotters::{
    coord::{ranged1d::ValueFormatter, types::RangedCoordf64},
    prelude::*,
};

/// Width of a picture, and height of each chart in it, in pixels.
const WIDTH: u32 = 900;
const HEIGHT: u32 = 320;
/// Text and axes: as far from white as from black.
const GREY: RGBColor = RGBColor(0x7d, 0x7d, 0x7d);
/// Lines: each is told from white and from black, and from the others by people who do not see all colours.
static COLOURS: [RGBColor; 8] = [
    RGBColor(0x2f, 0x81, 0xc9),
    RGBColor(0xd5, 0x7a, 0x1f),
    RGBColor(0x2b, 0x9b, 0x6a),
    RGBColor(0xc2, 0x57, 0x97),
    RGBColor(0x8a, 0x6f, 0xd1),
    RGBColor(0x9a, 0x86, 0x2c),
    RGBColor(0xcf, 0x4a, 0x4a),
    RGBColor(0x3b, 0x9a, 0xa8),
];

/// A chart.
pub(super) struct Chart {
    pub(super) title: &'static str,
    /// What the axes show, with the unit.
    pub(super) x: &'static str,
    pub(super) y: &'static str,
    pub(super) scale: Scale,
    pub(super) lines: Vec<Line>,
}

/// How the axes are divided. Both begin at zero, except a logarithmic one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    LogarithmicX,
}

/// A line of a chart.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

impl Chart {
    pub(super) fn is_empty(&self) -> bool {
        self.lines.iter().all(|line| line.points.is_empty())
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.lines.iter().flat_map(|line| line.points.iter().copied())
    }
}

/// Draws charts; those without anything to show are left out.
pub(super) fn draw(charts: &[Chart]) -> Result<String> {
    let charts: Vec<_> = charts.iter().filter(|chart| !chart.is_empty()).collect();
    let mut svg = String::new();
    {
        let height = HEIGHT.saturating_mul(u32::try_from(charts.len())?);
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        let areas = root.split_evenly((charts.len(), 1));
        for (chart, area) in charts.iter().zip(&areas) {
            draw_one(chart, area)?;
        }
        root.present()?;
    }
    Ok(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw_one(chart: &Chart, area: &Area<'_>) -> Result<()> {
    let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    // A distribution leaves the upper left corner to the legend; elsewhere it needs room above the lines.
    let legend = if chart.scale == Scale::LogarithmicX { 0.0 } else { 0.08 * chart.lines.len() as f64 };
    let top = largest(&mut chart.points().map(|(_, y)| y)).max(f64::MIN_POSITIVE) * (1.05 + legend);
    let right = largest(&mut chart.points().map(|(x, _)| x)).max(f64::MIN_POSITIVE);
    let mut builder = ChartBuilder::on(area);
    builder
        .caption(chart.title, ("sans-serif", 17, &GREY))
        .margin(12)
        .margin_right(28)
        .x_label_area_size(42)
        .y_label_area_size(72);
    match chart.scale {
        Scale::Linear => finish(chart, builder.build_cartesian_2d(0.0..right, 0.0..top)?),
        Scale::LogarithmicX => {
            // A logarithmic axis has no zero; nothing is faster than a tenth of a millisecond.
            let left = chart.points().map(|(x, _)| x).filter(|x| *x > 0.0).fold(right, f64::min).max(0.1);
            let range = (left * 0.9..right.max(left) * 1.1).log_scale();
            finish(chart, builder.build_cartesian_2d(range, 0.0..top)?)
        }
    }
}

/// Draws axes, lines and legend, whatever the scale of the horizontal axis.
fn finish<'a, 'svg: 'a, X>(
    chart: &Chart,
    mut context: ChartContext<'a, SVGBackend<'svg>, Cartesian2d<X, RangedCoordf64>>,
) -> Result<()>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let label = ("sans-serif", 13, &GREY);
    context
        .configure_mesh()
        .x_desc(chart.x)
        .y_desc(chart.y)
        .axis_style(GREY)
        .bold_line_style(GREY.mix(0.3))
        .light_line_style(TRANSPARENT)
        .label_style(label)
        .axis_desc_style(label)
        .x_label_formatter(&|value| short(*value))
        .y_label_formatter(&|value| short(*value))
        .draw()?;
    for (line, colour) in chart.lines.iter().zip(COLOURS.iter().cycle()) {
        let series = LineSeries::new(line.points.iter().copied(), colour.stroke_width(2));
        let sample = move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2));
        context.draw_series(series)?.label(&line.name).legend(sample);
        if let [point] = line.points.as_slice() {
            context.draw_series([Circle::new(*point, 3, colour.filled())])?;
        }
    }
    context
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .border_style(TRANSPARENT)
        .label_font(label)
        .draw()
        .map_err(Error::from)
}

/// A number on an axis, without digits that say nothing.
fn short(value: f64) -> String {
    let text = if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
