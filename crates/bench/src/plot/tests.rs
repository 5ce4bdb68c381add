use super::*;

const RUN: &str = r#"{"final_tps": 99.6, "latency_ms": {"p50": 20.0, "p90": 1, "p99": 1, "max": 1},
    "latency_distribution_ms": [[0.0, 10.0], [50.0, 20.0], [100.0, 300.0]], "final_by_second": [90, 110]}"#;
const RECORD: &str = "seconds,height,pending,accepted,failed,final,node0_resident_bytes,node0_cpu_us\n\
    0.0,1,0,0,0,0,1048576,0\n1.0,2,5,100,0,90,2097152,500000\n2.0,3,,200,0,180,,1000000\n";
const EXECUTE: &str = r#"{"lines": [
    {"workload": "swap", "conflict": 0, "threads": 1, "ratio": 0.9},
    {"workload": "swap", "conflict": 0, "threads": 2, "ratio": 1.7},
    {"workload": "swap", "conflict": 50, "threads": 2, "ratio": 1.1}]}"#;

#[test]
fn runs_are_drawn_over_each_other() {
    let files = [Figures::parse("one", RUN).unwrap(), Figures::parse("two", RUN).unwrap()];
    let svg = draw(&files).unwrap();
    for text in ["one (100 TPS, p50 20 ms)", "two (100 TPS", "latency (ms)", "final TPS (1/s)", "transactions (%)"] {
        assert!(svg.contains(text), "{text}: {svg}");
    }
    // No line may be of a colour that only one of a light and a dark page shows.
    for colour in ["\"#000000\"", "\"#FFFFFF\""] {
        assert!(!svg.contains(colour), "{colour}: {svg}");
    }
}

#[test]
fn a_record_gives_rates() {
    let figures = Figures::parse("record", RECORD).unwrap();
    let Figures::Record(record) = &figures else { panic!("{figures:?}") };
    let charts = record_charts(record);
    let points: Vec<_> = charts.iter().map(|chart| chart.lines[0].points.clone()).collect();
    let expected = [
        vec![(0.0, 1.0), (1.0, 2.0)],
        vec![(1.0, 50.0), (2.0, 50.0)],
        vec![(1.0, 90.0), (2.0, 90.0)],
        vec![(0.0, 0.0), (1.0, 5.0)],
    ];
    assert_eq!(points, expected);
    assert!(draw(&[figures]).unwrap().contains("memory (MiB)"));
}

#[test]
fn threads_are_drawn_by_workload_and_conflict() {
    let svg = draw(&[Figures::parse("x", EXECUTE).unwrap()]).unwrap();
    assert!(svg.contains("swap, 0 % conflicts") && svg.contains("swap, 50 % conflicts"), "{svg}");
}

#[test]
fn what_cannot_be_drawn_is_said() {
    let run = || Figures::parse("x", RUN).unwrap();
    let record = || Figures::parse("x", RECORD).unwrap();
    assert!(draw(&[run(), record()]).unwrap_err().to_string().contains("only alone"));
    assert!(draw(&[]).is_err());
    let nothing = r#"{"final_tps": 0, "latency_ms": {"p50": 0}, "latency_distribution_ms": [], "final_by_second": []}"#;
    assert!(draw(&[Figures::parse("x", nothing).unwrap()]).unwrap_err().to_string().contains("became final"));
    for (text, reason) in [
        ("{}", "it is no report"),
        ("a,b\n1,2\n", "not `seconds`"),
        ("seconds,x\n1\n", "1 fields, not 2"),
        ("seconds\nx\n", "`x` is not a number"),
    ] {
        assert!(Figures::parse("x", text).unwrap_err().to_string().contains(reason), "{text}");
    }
}
