//! Arguments of the commands that draw or compare learning curves.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use liprl_analysis::{Band, Peer};

use super::finite;
use crate::sweep::file::ScoreChoice;

/// Arguments of `plot`.
#[derive(Debug, Args)]
pub struct PlotArgs {
    /// Run folders, or folders around them: each folder of seed-<n> makes a curve
    #[arg(required_unless_present = "peers")]
    pub runs: Vec<PathBuf>,
    /// A curve of another program: a CSV table, a TensorBoard event file or a folder of them, its
    /// column or tag and its column of steps; repeat it with the same name for another seed
    #[arg(long = "peer", value_name = "NAME=PATH[::METRIC[::STEP]]")]
    pub peers: Vec<Peer>,
    /// The picture to write: .png, .svg or .pdf
    #[arg(long, value_name = "FILE.{png,svg,pdf}")]
    pub out: PathBuf,
    /// The metric to draw
    #[arg(long, default_value = "eval/return_mean")]
    pub metric: String,
    /// Line and band over the seeds
    #[arg(long, value_enum, default_value_t = BandChoice::Iqm)]
    pub band: BandChoice,
    /// Draw the mean of each run's last N points; 1 does not smooth
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub smooth: u32,
    /// Omit the default reference lines: the expert's return and that of random actions
    #[arg(long)]
    pub no_lines: bool,
    /// A horizontal line, such as a method's published return: --line paper=9359.5, or for one of
    /// several tasks: --line Ant-v5:paper=6000
    #[arg(long = "line", value_name = "NAME=VALUE", value_parser = reference)]
    pub lines: Vec<(String, f64)>,
    /// Title of the figure [default: from the folders]
    #[arg(long)]
    pub title: Option<String>,
    /// Label of the vertical axis [default: the metric]
    #[arg(long)]
    pub ylabel: Option<String>,
    /// Name of a curve, by its folder; repeatable
    #[arg(long = "label", value_name = "FOLDER=NAME", value_parser = label)]
    pub labels: Vec<(PathBuf, String)>,
    /// Place of the legend
    #[arg(long, value_enum, default_value_t = LegendChoice::Below)]
    pub legend: LegendChoice,
}

/// Places of a legend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LegendChoice {
    /// Below the panels
    Below,
    /// No legend
    None,
}

/// A folder, whose name may hold `=`, and its curve's name.
fn label(text: &str) -> Result<(PathBuf, String), String> {
    let (folder, name) = text.rsplit_once('=').ok_or("expected FOLDER=NAME")?;
    Ok((folder.into(), name.trim().to_owned()))
}

/// The line and the band of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BandChoice {
    /// Interquartile mean, 95% bootstrap interval
    Iqm,
    /// Mean, one standard deviation
    Mean,
    /// Median, quartiles
    Median,
}

impl From<BandChoice> for Band {
    fn from(choice: BandChoice) -> Self {
        match choice {
            BandChoice::Iqm => Self::InterquartileMean,
            BandChoice::Mean => Self::MeanStd,
            BandChoice::Median => Self::MedianQuartiles,
        }
    }
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A sweep's folder: runs/<experiment>
    pub sweep: PathBuf,
    /// Folder to write report.html into, its figures as SVG and PDF, its tables as CSV, LaTeX, JSON
    #[arg(long)]
    pub out: PathBuf,
    /// The metric compared [default: the sweep's, else eval/return_mean]
    #[arg(long)]
    pub metric: Option<String>,
    /// The variant the others are compared with [default: the sweep's, else the first]
    #[arg(long)]
    pub baseline: Option<String>,
    /// The number of a run's curve that is compared [default: the sweep's, else last]
    #[arg(long, value_enum)]
    pub score: Option<ScoreChoice>,
    /// Omit from the tables what was logged before this step [default: the sweep's, else 0]
    #[arg(long, value_name = "STEP")]
    pub from: Option<u64>,
    /// Omit from the tables what was logged after this step [default: nothing]
    #[arg(long, value_name = "STEP")]
    pub to: Option<u64>,
    /// Also list the steps and seconds until runs reach this value [default: the sweep's for its
    /// own metric, else off]
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = finite)]
    pub reach: Option<f64>,
    /// A metric shown beside the one compared, such as 'model/error/*'; repeatable [default: the
    /// sweep's, else those usual for the agent]
    #[arg(long = "show", value_name = "METRIC")]
    pub show: Vec<String>,
    /// Rank correlation of two metrics over runs and over time, with a scatter figure; repeatable
    #[arg(long = "relate", value_name = "METRIC:METRIC", value_parser = pair)]
    pub relate: Vec<(String, String)>,
    /// Omit the default reference lines: the expert's return and that of random actions
    #[arg(long)]
    pub no_lines: bool,
    /// A horizontal line in the curves: --line paper=9359.5, or for one of several tasks: --line
    /// Ant-v5:paper=6000
    #[arg(long = "line", value_name = "NAME=VALUE", value_parser = reference)]
    pub lines: Vec<(String, f64)>,
}

/// Two metrics.
fn pair(text: &str) -> Result<(String, String), String> {
    let (x, y) = text.split_once(':').ok_or("expected METRIC:METRIC")?;
    Ok((x.trim().to_owned(), y.trim().to_owned()))
}

/// A line's name and height.
fn reference(text: &str) -> Result<(String, f64), String> {
    let (name, value) = text.rsplit_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.trim().to_owned(), finite(value)?))
}
