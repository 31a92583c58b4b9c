using Semel.Master.Identity;

namespace Semel.Master.Chunks;

/// <summary>
/// Finds things by ids that are given out in order within each epoch (<see cref="IdRange"/>) and seldom taken back: 8 bytes for each, a run
/// of pages for each epoch that gave any, and a page whose things are all gone costs nothing.
/// </summary>
internal sealed class DenseTable<T> where T : class
{
    private const int PageBits = 8;
    private const int PageSize = 1 << PageBits;

    private readonly SortedList<ulong, List<Page?>> _runs = [];     // by epoch; none is ever taken out, so that an enumeration may go on by its place

    public long Count { get; private set; }

    /// <summary>Null: nothing has the id.</summary>
    public T? this[ulong id]
    {
        get
        {
            ulong number = IdRange.NumberOf(id);
            return _runs.TryGetValue(IdRange.EpochOf(id), out var pages) && number >> PageBits is var page && page < (ulong)pages.Count
                ? pages[(int)page]?.Slots[number & (PageSize - 1)] : null;
        }
        set
        {
            if (!_runs.TryGetValue(IdRange.EpochOf(id), out var pages))
                _runs.Add(IdRange.EpochOf(id), pages = []);
            ulong number = IdRange.NumberOf(id);
            int page = checked((int)(number >> PageBits));
            while (pages.Count <= page)
                pages.Add(null);
            var slots = pages[page] ??= new Page();
            ref var slot = ref slots.Slots[number & (PageSize - 1)];
            int change = (value is null ? 0 : 1) - (slot is null ? 0 : 1);
            slot = value;
            slots.Used += change;
            Count += change;
            if (slots.Used == 0)
                pages[page] = null;
        }
    }

    /// <summary>In the order of their ids. The table may change meanwhile.</summary>
    public IEnumerable<T> All()
    {
        for (int run = 0; run < _runs.Count; run++)
        {
            var pages = _runs.Values[run];
            for (int page = 0; page < pages.Count; page++)
            {
                for (int i = 0; i < PageSize && pages[page] is { } slots; i++)
                {
                    if (slots.Slots[i] is { } value)
                        yield return value;
                }
            }
        }
    }

    private sealed class Page
    {
        public readonly T?[] Slots = new T?[PageSize];
        public int Used;
    }
}
