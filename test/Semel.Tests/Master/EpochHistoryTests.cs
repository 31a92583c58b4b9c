using Semel.Master.Chunks;
using Semel.Master.Identity;

namespace Semel.Tests.Master;

public sealed class EpochHistoryTests
{
    private const ulong Last = 120;

    /// <summary>Epoch 1 of an older version, 2 to 4 with nonces.</summary>
    private static EpochHistory History()
    {
        var history = new EpochHistory();
        history.Begin(1, 0, 2, false);
        history.Begin(2, 222, 40, false);
        history.Begin(3, 333, 80, false);
        history.Begin(4, 444, 100, false);
        return history;
    }

    [Theory]
    [InlineData(0, 0, 0)]
    [InlineData(1, 0, 39)]
    [InlineData(1, 111, 39)]    // this log does not know the nonce of an epoch that an older version began
    [InlineData(2, 222, 0)]
    [InlineData(2, 222, 79)]
    [InlineData(3, 0, 99)]
    [InlineData(4, 444, 120)]
    public void A_log_has_what_was_seen_of_its_own_epochs(ulong epoch, ulong nonce, ulong position) =>
        Assert.Null(History().LackOf(new SeenMaster(epoch, nonce, position), Last));

    [Theory]
    [InlineData(5, 555, 0)]
    [InlineData(2, 223, 10)]
    [InlineData(4, 445, 0)]
    [InlineData(1, 0, 40)]
    [InlineData(2, 222, 80)]
    [InlineData(4, 444, 121)]
    public void Another_epoch_another_nonce_or_a_later_entry_was_seen_of_another_log(ulong epoch, ulong nonce, ulong position) =>
        Assert.NotNull(History().LackOf(new SeenMaster(epoch, nonce, position), Last));

    [Fact]
    public void What_the_operator_gave_up_is_no_lack_any_more_and_what_comes_later_is()
    {
        var history = History();
        history.Begin(9, 999, 121, acceptsLoss: true);

        Assert.Null(history.LackOf(new SeenMaster(5, 555, 1000), Last + 1));
        Assert.Null(history.LackOf(new SeenMaster(4, 445, 0), Last + 1));
        Assert.NotNull(history.LackOf(new SeenMaster(9, 998, 0), Last + 1));
        Assert.NotNull(history.LackOf(new SeenMaster(10, 1, 0), Last + 1));
    }

    [Fact]
    public void Ids_carry_their_epoch_and_no_epochs_ids_are_anothers()
    {
        foreach (ulong epoch in (ulong[])[1, 2, 1000, IdRange.MaxEpoch])
        {
            Assert.Equal(epoch, IdRange.EpochOf(IdRange.FirstOf(epoch)));
            Assert.Equal(epoch, IdRange.EpochOf(IdRange.EndOf(epoch) - 1));
            Assert.True(IdRange.EndOf(epoch) > IdRange.FirstOf(epoch));
            Assert.True(IdRange.FirstOf(epoch) > IdRange.EndOf(epoch - 1) - 1);
        }
    }

    [Fact]
    public void A_table_finds_ids_of_all_epochs_and_lists_them_in_order()
    {
        var table = new DenseTable<string>();
        ulong[] ids = [1, 300, IdRange.FirstOf(2), IdRange.FirstOf(2) + 255, IdRange.FirstOf(70_000), IdRange.FirstOf(IdRange.MaxEpoch)];
        foreach (ulong id in ids.Reverse())
            table[id] = $"{id}";

        table[300] = null;

        Assert.Equal(ids.Except([300ul]).Select(id => $"{id}"), table.All());
        Assert.All(ids.Except([300ul]), id => Assert.Equal($"{id}", table[id]));
        Assert.Null(table[300]);
        Assert.Null(table[IdRange.FirstOf(3)]);
        Assert.Equal(ids.Length - 1, table.Count);
    }

    [Fact]
    public void A_set_of_numbers_has_those_that_were_added()
    {
        var set = new NumberSet();
        ulong[] added = [0, 63, 64, 4095, 4096, IdRange.FirstOf(7), IdRange.FirstOf(7) + 1];
        foreach (ulong number in added)
            set.Add(number);

        Assert.All(added, n => Assert.True(set.Contains(n)));
        Assert.All((ulong[])[1, 62, 65, 4097, IdRange.FirstOf(7) + 2, IdRange.FirstOf(8)], n => Assert.False(set.Contains(n)));
    }
}
