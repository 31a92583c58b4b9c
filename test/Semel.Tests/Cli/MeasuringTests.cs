using System.Diagnostics.Metrics;
using System.Text;
using Semel.Cli.Clusters;
using Semel.Cli.Commands.Bench;
using Semel.Cli.Hosting;
using Semel.Cli.Verification;

namespace Semel.Tests.Cli;

public class MeasuringTests
{
    [Fact]
    public void A_percentile_is_exact_to_two_percent()
    {
        var histogram = new LatencyHistogram();
        for (int i = 1; i <= 100_000; i++)
            histogram.Add(i * 10);

        Assert.InRange(histogram.MicrosecondsAt(0.5), 50_000, 51_000);
        Assert.InRange(histogram.MicrosecondsAt(0.99), 99_000, 100_000);
        Assert.Equal(100_000, histogram.MicrosecondsAt(1));
    }

    [Fact]
    public void Every_duration_has_a_bucket_that_reaches_to_it()
    {
        for (int bit = 0; bit < 63; bit++)
        {
            foreach (long ticks in new[] { (1L << bit) - 1, 1L << bit, (1L << bit) + 1 })
            {
                int bucket = LatencyHistogram.BucketOf(ticks);
                Assert.InRange(ticks, bucket == 0 ? 0 : LatencyHistogram.UpperBoundOf(bucket - 1) + 1, LatencyHistogram.UpperBoundOf(bucket));
            }
        }
    }

    [Fact]
    public void Coarse_buckets_lose_no_duration_and_ascend()
    {
        var histogram = new LatencyHistogram();
        for (int i = 0; i < 10_000; i++)
            histogram.Add(i * i);

        var coarse = histogram.Coarse().ToArray();

        Assert.Equal(10_000, coarse.Sum(b => b.Count));
        Assert.Equal(coarse.OrderBy(b => b.UpToMicroseconds), coarse);
        Assert.True(coarse[^1].UpToMicroseconds >= histogram.MaxTicks / 10.0);
    }

    [Fact]
    public void A_median_is_the_middle_or_between_the_two_in_the_middle()
    {
        Assert.Equal(new Spread(3, 1, 9), Spread.Of([9, 1, 3]));
        Assert.Equal(new Spread(2.5, 1, 9), Spread.Of([9, 1, 3, 2]));
        Assert.Equal(new Spread(7, 7, 7), Spread.Of([7]));
    }

    [Fact]
    public void Bytes_written_to_disk_are_the_line_of_that_name_alone()
    {
        Assert.Equal(4096, ProcessUsage.ParseWrittenBytes(["rchar: 1", "wchar: 2", "read_bytes: 3", "write_bytes: 4096", "cancelled_write_bytes: 5"]));
        Assert.Equal(0, ProcessUsage.ParseWrittenBytes([]));
    }

    [Fact]
    public void The_machine_is_busy_with_all_but_idling_and_waiting_for_the_disk()
    {
        // user nice system idle iowait irq softirq steal, then guests, which are in user and nice already
        Assert.Equal((10, 40), UsageMeter.Parse("cpu  100 200 300 1000 2000 50 150 200 700 800"));
    }

    [Fact]
    public void Processor_time_is_the_fourteenth_and_fifteenth_field_whatever_the_name_of_the_program()
    {
        Assert.Equal(3.5, ProcessorTime.Parse("42 (evil) name (x) S 1 2 3 4 5 6 7 8 9 10 150 200 0 0 20 0"));
        Assert.True(ProcessorTime.OfThisProcess > 0);
        Assert.Equal(0, ProcessorTime.OfProcess(int.MaxValue));
    }

    [Fact]
    public void The_ledger_counts_what_is_lost_and_what_is_there_too_often()
    {
        var ledger = new RecordLedger();
        var a = ledger.Sent("a"u8);
        ledger.MarkAcknowledged(a);
        ledger.MarkAcknowledged(ledger.Sent("b"u8));
        ledger.Sent("in doubt"u8);
        ledger.MarkFound("a"u8);
        ledger.MarkFound("a"u8);
        ledger.MarkFound("in doubt"u8);
        ledger.MarkFound("stranger"u8);

        Assert.Equal((1L, 2L), ledger.Compare());
        Assert.Equal((2L, 4L), (ledger.Acknowledged, ledger.Found));
    }

    [Fact]
    public void Equal_records_may_be_there_as_often_as_they_were_sent()
    {
        var ledger = new RecordLedger();
        for (int i = 0; i < 3; i++)
        {
            ledger.MarkAcknowledged(ledger.Sent("same"u8));
            ledger.MarkFound("same"u8);
        }

        Assert.Equal((0L, 0L), ledger.Compare());
    }

    [Fact]
    public void Metrics_are_written_in_the_Prometheus_text_format()
    {
        using var meter = new Meter("Semel.Test");
        using var metrics = new PrometheusText();
        var appends = meter.CreateCounter<long>("semel.test.appends", null, "Appends\nof a \\ kind");
        var duration = meter.CreateHistogram<double>("semel.test.duration", "s");
        meter.CreateObservableGauge("semel.test.chunks", () => 7);
        appends.Add(2, new KeyValuePair<string, object?>("result", "ok \"quoted\""));
        appends.Add(3, new KeyValuePair<string, object?>("result", "ok \"quoted\""));
        duration.Record(0.5);
        duration.Record(1e9);

        var lines = metrics.Write().Split('\n');

        Assert.Contains("# HELP semel_test_appends_total Appends\\nof a \\\\ kind", lines);
        Assert.Contains("# TYPE semel_test_appends_total counter", lines);
        Assert.Contains("semel_test_appends_total{result=\"ok \\\"quoted\\\"\"} 5", lines);
        Assert.Contains("# TYPE semel_test_chunks gauge", lines);
        Assert.Contains("semel_test_chunks 7", lines);
        Assert.Contains("# TYPE semel_test_duration_seconds histogram", lines);
        Assert.Contains("semel_test_duration_seconds_bucket{le=\"0.5\"} 1", lines);
        Assert.Contains("semel_test_duration_seconds_bucket{le=\"0.25\"} 0", lines);
        Assert.Contains("semel_test_duration_seconds_bucket{le=\"+Inf\"} 2", lines);
        Assert.Contains("semel_test_duration_seconds_count 2", lines);
    }

    [Fact]
    public void An_instrument_with_endless_labels_is_cut_off()
    {
        using var meter = new Meter("Semel.Endless");
        using var metrics = new PrometheusText();
        var counter = meter.CreateCounter<int>("semel.endless");
        for (int i = 0; i < 5000; i++)
            counter.Add(1, new KeyValuePair<string, object?>("id", i));

        Assert.Equal(1000, metrics.Write().Split('\n').Count(l => l.StartsWith("semel_endless_total{", StringComparison.Ordinal)));
    }

    [Fact]
    public void A_line_of_the_input_is_generated_the_same_each_time()
    {
        var once = Semel.Cli.Commands.Demo.DemoInput.Generate(1000);
        var again = Semel.Cli.Commands.Demo.DemoInput.Generate(1000);

        Assert.Equal(once.Select(l => Encoding.UTF8.GetString(l.Span)), again.Select(l => Encoding.UTF8.GetString(l.Span)));
    }
}
