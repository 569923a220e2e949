use std::io::Write;

use super::*;
use fs_err as fs;

fn peer(path: &Path, more: &str) -> Peer {
    format!("SB3={}{more}", path.display()).parse().unwrap()
}

fn write(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Values of the first run, and the warnings.
fn first(root: &Path, more: &str) -> (Vec<(u64, f64)>, Vec<String>) {
    let (runs, warnings) = read(&[peer(root, more)]).unwrap();
    (runs[0].series.clone().into_iter().collect(), warnings.iter().map(ToString::to_string).collect())
}

#[test]
fn a_progress_table_is_read_by_its_columns() {
    let folder = tempfile::tempdir().unwrap();
    for (seed, offset) in [("0", 0.0), ("1", 2.0)] {
        let text = format!(
            "rollout/ep_rew_mean,\"time, fps\",time/total_timesteps,eval/mean_reward\n\
             {},1,100,\n,2,200,{}\n5,\"3\n5,3,400,x\n",
            offset + 1.0,
            offset + 10.0
        );
        write(folder.path(), &format!("{seed}/progress.csv"), &text);
    }
    let of = |more: &str| read(&[peer(folder.path(), more)]);
    let (runs, warnings) = of("").unwrap();
    assert_eq!(runs.iter().map(|run| run.series[&200]).collect::<Vec<_>>(), [10.0, 12.0], "evaluations first");
    assert_eq!(runs[0].series.len(), 1);
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    assert!(warnings[0].to_string().ends_with("progress.csv:4: a damaged line is skipped"), "{}", warnings[0]);
    let (runs, _) = of("::rollout/ep_rew_mean").unwrap();
    assert_eq!(runs[1].series, BTreeMap::from([(100, 3.0), (400, 5.0)]));
    let (runs, _) = of("::rollout/ep_rew_mean::time, fps").unwrap();
    assert_eq!(runs[1].series, BTreeMap::from([(1, 3.0), (3, 5.0)]));
    let error = of("::loss").unwrap_err().to_string();
    assert!(error.contains("`loss`") && error.contains("eval/mean_reward"), "{error}");
    let error = of("::loss::steps").unwrap_err().to_string();
    assert!(error.contains("`steps`") && error.contains("time/total_timesteps"), "{error}");
}

#[test]
fn all_runs_of_a_curve_have_one_metric_and_one_step_axis() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "0/a.csv", "global_step,step,return,eval/mean_reward\n8,1,2,3\n16,2,4,6\n");
    write(folder.path(), "1/a.csv", "step,return,eval/mean_reward\n1,5,\n2,6,\n");
    // Both have `return` by `step`; the evaluation and `global_step` are one run's own.
    let peers = [peer(&folder.path().join("0"), ""), peer(&folder.path().join("1"), "")];
    for peers in [vec![peer(folder.path(), "")], peers.to_vec()] {
        let (runs, warnings) = read(&peers).unwrap();
        let series: Vec<Vec<(u64, f64)>> = runs.iter().map(|run| run.series.clone().into_iter().collect()).collect();
        assert_eq!(series, [[(1, 2.0), (2, 4.0)], [(1, 5.0), (2, 6.0)]]);
        let warned: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        assert!(warned.iter().any(|line| line.contains("2 runs have it, and 1 have `eval/mean_reward`")), "{warned:?}");
    }
}

#[test]
fn files_without_the_curve_are_named_and_refuse_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let good = "time/total_timesteps,rollout/ep_rew_mean\n100,1\n200,2\n";
    write(folder.path(), "0/progress.csv", good);
    write(folder.path(), "0/0.monitor.csv", "#{\"t_start\": 1.0}\nr,l,t\n-5.0,50,0.1\n");
    write(folder.path(), "1/model_train.csv", "train_iteration,epoch,model_loss\n0,0,1.0\n");
    write(folder.path(), "2/empty.csv", "");
    write(folder.path(), "3/evaluations.npz", "not an archive");
    write(folder.path(), "0/raw/gen/progress.csv", good);
    write(folder.path(), "0/.ipynb_checkpoints/progress-checkpoint.csv", good);
    let packed = fs::File::create(folder.path().join("1/progress.csv.gz")).unwrap();
    let mut packed = flate2::write::GzEncoder::new(packed, flate2::Compression::default());
    packed.write_all(good.as_bytes()).unwrap();
    packed.finish().unwrap();
    let (runs, warnings) = read(&[peer(folder.path(), "")]).unwrap();
    assert_eq!(runs.len(), 2, "those of 0/ and 1/");
    assert!(runs.iter().all(|run| run.series == BTreeMap::from([(100, 1.0), (200, 2.0)])));
    let warned = warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    for name in ["0.monitor.csv", "model_train.csv", "empty.csv", "evaluations.npz", "it lies in the run"] {
        assert!(warned.contains(name), "{name}: {warned}");
    }
    assert!(!warned.contains("checkpoint"), "hidden folders are not read: {warned}");
    // An exact column of several tables.
    write(folder.path(), "m/results.csv", "env_step,episode_reward\n250,10\n500,20\n");
    write(folder.path(), "m/model_train.csv", "train_iteration,epoch,model_loss\n0,0,1.0\n");
    let (series, warnings) = first(&folder.path().join("m"), "::episode_reward");
    assert_eq!((series, warnings.len()), (vec![(250, 10.0), (500, 20.0)], 1));
}

#[test]
fn a_step_that_goes_back_drops_what_came_after_it() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a/p.csv", "step,return\n0,0\n100,1\n200,2\n300,3\n150,-1\n250,-2\n");
    let (series, warnings) = first(&folder.path().join("a"), "");
    assert_eq!(series, [(0, 0.0), (100, 1.0), (150, -1.0), (250, -2.0)]);
    assert!(warnings[0].contains("2 earlier values"), "{warnings:?}");
    // Two tables: the second goes on from a checkpoint at 100.
    write(folder.path(), "b/progress.csv", "step,return\n0,0\n100,1\n200,2\n");
    write(folder.path(), "b/progress-1.csv", "step,return\n150,7\n");
    assert_eq!(first(&folder.path().join("b"), "").0, [(0, 0.0), (100, 1.0), (150, 7.0)]);
}

#[test]
fn several_values_at_one_step_are_averaged() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "p.csv", "step,return\n10,1\n10,2\n10,6\n20,nan\n20,4\n,5\n");
    let (series, warnings) = first(folder.path(), "");
    assert_eq!((series, warnings), (vec![(10, 3.0), (20, 4.0)], Vec::new()));
}

#[test]
fn tables_of_different_things_are_not_mixed() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a/train.csv", "step,return\n0,1\n10,2\n");
    write(folder.path(), "a/eval.csv", "step,return\n5,7\n");
    let (series, warnings) = first(&folder.path().join("a"), "");
    assert_eq!(series, [(5, 7.0)]);
    assert!(warnings[0].contains("train.csv: left out"), "{warnings:?}");
    // Seeds side by side are not parts of one run.
    write(folder.path(), "b/seed-0.csv", "step,return\n0,1\n10,2\n");
    write(folder.path(), "b/seed-1.csv", "step,return\n0,3\n10,4\n");
    let (series, warnings) = first(&folder.path().join("b"), "");
    assert_eq!(series, [(0, 1.0), (10, 2.0)]);
    assert!(warnings[0].contains("seed-1.csv: left out"), "{warnings:?}");
}

#[test]
fn steps_that_are_no_counts_are_named() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "p.csv", "step,return\n0.5,1\n1.5,2\ninf,3\n-1,4\n1e300,5\n");
    let (series, warnings) = first(folder.path(), "");
    assert_eq!(series, [(0, 1.0), (1, 2.0)]);
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    assert!(warnings[3].contains("rounded down"), "{warnings:?}");
    write(folder.path(), "q/q.csv", "frames,return\n5,1\n");
    let error = read(&[peer(&folder.path().join("q"), "")]).unwrap_err().to_string();
    assert!(error.contains("total_timesteps") && error.contains("frames"), "{error}");
}

#[test]
fn wrong_arguments_are_explained() {
    assert!("x".parse::<Peer>().unwrap_err().contains("NAME=PATH"));
    assert!("x=".parse::<Peer>().unwrap_err().contains("no path"));
    assert!("x=a::b::c::d".parse::<Peer>().is_err());
}
