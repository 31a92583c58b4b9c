namespace Semel.Storage.Journals;

/// <summary>What is wrong with a journal, and from where on: no crash explains it.</summary>
/// <param name="File">The damaged file, relative to the disk.</param>
/// <param name="Segment">Its number.</param>
/// <param name="Offset">Where in the file the damage begins, in bytes.</param>
/// <param name="Entry">The first entry that cannot be read; all before it can. 0: not even its number is known.</param>
/// <param name="Durable">At least all entries up to this one had been durable.</param>
/// <param name="Fault">What was found.</param>
/// <param name="Proof">What shows that this is no torn write.</param>
/// <param name="Bit">The one bit whose flip makes it good again; null: it is not that.</param>
internal sealed record JournalDamage(string File, ulong Segment, long Offset, ulong Entry, ulong Durable, string Fault, string Proof, FlippedBit? Bit)
{
    public override string ToString()
    {
        string what = Entry == 0 ? Fault : $"entry {Entry} cannot be read ({Fault})";
        string lost = Entry == 0 ? "" : Durable > Entry ? $" Entries {Entry} to {Durable} at least had been durable." : "";
        string mend = Bit is { } bit ? $" Bit {bit.Bit} of byte {bit.Offset} is flipped: 'semel log recover' puts it right." : "";
        return $"The journal file {File} is damaged at offset {Offset}: {what}, and that is no torn write: {Proof}.{lost}{mend}";
    }
}

/// <summary>Bytes at the end of the last segment that are no whole entry, and that nothing proves to have been one.</summary>
internal readonly record struct TornTail(long Offset, long Bytes, string Fault);
