//! Statistics and figures from run folders.
//!
//! [`report`] compares the variants of a sweep on one page of HTML. [`plot`] finds the runs below some folders, groups the seeds of one variant, and draws one metric against
//! environment steps, with the numbers as CSV beside the picture. The pieces are public: [`Run`] reads one folder,
//! [`stats`] holds the estimators, [`Curve`] aligns seeds, [`Figure`] draws.

mod bootstrap;
mod chart;
mod curve;
mod draw;
mod error;
mod figure;
mod peer;
mod plot;
pub mod report;
mod run;
pub mod scores;
pub mod stats;

pub use bootstrap::{Bootstrap, Interval};
pub use chart::{Chart, Series};
pub use curve::{Band, Curve, Point};
pub use error::AnalysisError;
pub use figure::{Figure, Line, Panel};
pub use peer::Peer;
pub use plot::{PlotOptions, PlotReport, plot};
pub use run::{Run, Warning, find_runs};
pub use scores::{Estimate, Scores, ScoresError};
