namespace Semel.Master.Chunks;

/// <summary>
/// Finds things by numbers that are given out in order and seldom taken back: 8 bytes for each number, and a page whose things are all gone costs
/// nothing.
/// </summary>
internal sealed class DenseTable<T> where T : class
{
    private const int PageBits = 8;
    private const int PageSize = 1 << PageBits;

    private readonly List<Page?> _pages = [];

    public long Count { get; private set; }

    /// <summary>Null: nothing has the number.</summary>
    public T? this[ulong number]
    {
        get => number >> PageBits is var page && page < (ulong)_pages.Count ? _pages[(int)page]?.Slots[number & (PageSize - 1)] : null;
        set
        {
            int page = checked((int)(number >> PageBits));
            while (_pages.Count <= page)
                _pages.Add(null);
            var slots = _pages[page] ??= new Page();
            ref var slot = ref slots.Slots[number & (PageSize - 1)];
            int change = (value is null ? 0 : 1) - (slot is null ? 0 : 1);
            slot = value;
            slots.Used += change;
            Count += change;
            if (slots.Used == 0)
                _pages[page] = null;
        }
    }

    /// <summary>In the order of their numbers. The table may change meanwhile.</summary>
    public IEnumerable<T> All()
    {
        for (int page = 0; page < _pages.Count; page++)
        {
            for (int i = 0; i < PageSize && _pages[page] is { } slots; i++)
            {
                if (slots.Slots[i] is { } value)
                    yield return value;
            }
        }
    }

    private sealed class Page
    {
        public readonly T?[] Slots = new T?[PageSize];
        public int Used;
    }
}
