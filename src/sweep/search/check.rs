//! Checks of a search that its schema cannot express.

use super::config::{SearchConfig, SearchMethod};
use crate::config::{ConfigError, Node, Sources};
use crate::sweep::distribution::Distribution;
use crate::sweep::expand::entries;
use crate::sweep::file::{ScoreChoice, SweepFile};

/// Rejects parts of a sweep file that do not go with its search.
pub(super) fn check(
    file: &SweepFile,
    config: &SearchConfig,
    tree: &Node,
    sources: &Sources,
) -> Result<(), ConfigError> {
    let others = ["axes", "zip", "random", "variants"];
    if let Some((key, _)) = entries(tree).iter().find(|(key, _)| others.contains(&key.name.as_str())) {
        let problem = format!("`{}` does not go with `search`, which makes the variants itself", key.name);
        let help = "put what it varies under `search.draw`, or into a sweep of its own";
        return Err(sources.error(key.span, problem, Some(help.to_owned())));
    }
    let Some(part) = tree.get("search") else { return Ok(()) };
    let draw = part.get("draw").map_or(&[][..], entries);
    if draw.is_empty() {
        return Err(sources.error(part.span, "`search.draw` is empty", None));
    }
    for (key, node) in draw {
        let unbounded =
            matches!(config.draw.get(&key.name), Some(Distribution::Normal(_) | Distribution::LogNormal(_)));
        if unbounded && config.method == SearchMethod::Tpe {
            let problem = format!("`tpe` cannot search `{}`: a normal distribution has no ends", key.name);
            let help = "take `uniform` or `log_uniform`, or `method: random`";
            return Err(sources.error(node.span, problem, Some(help.to_owned())));
        }
    }
    if file.report.score == ScoreChoice::Best && config.goal.sign() < 0.0 {
        let report = tree.get("report").unwrap_or(tree);
        let at = report.get("score").map_or(report.span, |node| node.span);
        let help = "take `last` or `mean`".to_owned();
        return Err(sources.error(at, "`best` is the highest value, and the search minimises", Some(help)));
    }
    Ok(())
}
