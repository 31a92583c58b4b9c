namespace Semel.Master.Chunks;

/// <summary>Numbers that are given out in order, most of which come to be in it: about a bit for each.</summary>
internal sealed class NumberSet
{
    private const int PageBits = 12;

    private readonly Dictionary<ulong, ulong[]> _pages = [];

    public bool Contains(ulong number) => _pages.TryGetValue(number >> PageBits, out var page) && (page[IndexOf(number)] & Bit(number)) != 0;

    public void Add(ulong number)
    {
        if (!_pages.TryGetValue(number >> PageBits, out var page))
            _pages.Add(number >> PageBits, page = new ulong[1 << (PageBits - 6)]);
        page[IndexOf(number)] |= Bit(number);
    }

    private static int IndexOf(ulong number) => (int)(number & ((1 << PageBits) - 1)) >> 6;

    private static ulong Bit(ulong number) => 1UL << (int)(number & 63);
}
