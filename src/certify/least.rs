//! The least proven bound of each norm and region, with the methods that gave it.

use liprl_control::certify::Norm;

use super::rows::{BoundRow, MethodKind};

/// The bound that counts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LeastBound {
    pub norm: Norm,
    pub region: String,
    /// The largest Jacobian norm observed.
    pub lower: f64,
    /// Over several boxes, the largest of each box's least.
    pub upper: f64,
    /// The methods with the least bound of some box, in the table's order.
    pub by: Vec<MethodKind>,
}

/// The least bounds, in the order of `rows`.
pub(crate) fn least_bounds(rows: &[BoundRow]) -> Vec<LeastBound> {
    let groups = rows.chunk_by(|a, b| (a.norm, &a.region) == (b.norm, &b.region));
    groups.filter_map(least).collect()
}

/// The least bound of rows of one norm and region.
fn least(rows: &[BoundRow]) -> Option<LeastBound> {
    let first = rows.first()?;
    let of = |row: &BoundRow, at: usize| row.boxes.get(at).map_or(row.bound.upper, |one| one.bound.upper);
    let (mut upper, mut by) = (0f64, Vec::new());
    for at in 0..first.boxes.len().max(1) {
        let best = rows.iter().min_by(|a, b| of(a, at).total_cmp(&of(b, at)))?;
        upper = upper.max(of(best, at));
        by.push(best.method);
    }
    let by = MethodKind::ALL.into_iter().filter(|method| by.contains(method)).collect();
    let lower = rows.iter().map(|row| row.lower).fold(0.0, f64::max);
    Some(LeastBound { norm: first.norm, region: first.region.clone(), lower, upper, by })
}

#[cfg(test)]
mod tests {
    use liprl_control::certify::{Bound, Ended, Region};

    use super::super::rows::BoxBound;
    use super::*;

    #[test]
    fn each_box_takes_its_own_best_method() {
        let row = |norm, region: &str, method, uppers: &[f64]| {
            let bound = |upper| Bound { upper, lower: 0.0, ended: Ended::Finished };
            let one = |&upper: &f64| BoxBound {
                region: Region::around(&[0.0], &[1.0]).unwrap(),
                lower: 0.5,
                bound: bound(upper),
            };
            let boxes = if region == "data" { uppers.iter().map(one).collect() } else { Vec::new() };
            let bound = bound(uppers.iter().copied().fold(0.0, f64::max));
            BoundRow { norm, region: region.into(), method, lower: 0.5, bound, seconds: 0.0, boxes }
        };
        let rows = [
            row(Norm::L2, "everywhere", MethodKind::Product, &[3.0]),
            row(Norm::L2, "everywhere", MethodKind::Lipsdp, &[2.0]),
            row(Norm::L2, "everywhere", MethodKind::Construction, &[1.9]),
            row(Norm::L2, "data", MethodKind::Local, &[1.0, 1.8]),
            row(Norm::L2, "data", MethodKind::Lipsdp, &[1.5, 1.2]),
            row(Norm::Linf, "data", MethodKind::Local, &[4.0, 5.0]),
        ];
        let found = least_bounds(&rows);
        let short: Vec<(Norm, &str, f64)> = found.iter().map(|one| (one.norm, &one.region[..], one.upper)).collect();
        assert_eq!(short, [(Norm::L2, "everywhere", 1.9), (Norm::L2, "data", 1.2), (Norm::Linf, "data", 5.0)]);
        let by: Vec<&[MethodKind]> = found.iter().map(|one| &one.by[..]).collect();
        assert_eq!(by[..2], [&[MethodKind::Construction][..], &[MethodKind::Lipsdp, MethodKind::Local]]);
    }
}
