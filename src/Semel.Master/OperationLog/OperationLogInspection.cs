using Google.Protobuf;
using Microsoft.Extensions.Logging;
using Semel.Protocol;
using Semel.Protocol.Identity;
using Semel.Storage.DataDirectories;
using Semel.Storage.Disks;
using Semel.Storage.Journals;

namespace Semel.Master.OperationLog;

/// <summary>
/// The operation log of a master that does not run, for its operator: how far it verifies and follows from itself, what is wrong, and what
/// can be done. Holds the data directory until it is disposed.
/// </summary>
public sealed class OperationLogInspection : IDisposable
{
    private readonly DataDirectory _directory;
    private readonly MasterState _state = new();

    private OperationLogInspection(IDisk disk, DataDirectory directory)
    {
        _directory = directory;
        Journal = JournalInspection.Read(disk, OperationJournal.DirectoryName, Apply);
    }

    /// <summary>Takes the data directory and reads the log; changes nothing of it.</summary>
    /// <exception cref="DataDirectoryException">It is not a master's.</exception>
    /// <exception cref="IOException">A process holds it, the disk failed, or a newer version wrote it.</exception>
    public static async ValueTask<OperationLogInspection> OpenAsync(IDisk disk, ILogger logger)
    {
        if (!DataDirectory.Exists(disk))
            throw new DataDirectoryException($"The directory {disk} is no data directory of a Semel server: it has no file 'identity'.");
        var directory = await DataDirectory.OpenAsync(disk, ServerRole.Master, logger);
        try
        {
            return new OperationLogInspection(disk, directory);
        }
        catch
        {
            directory.Dispose();
            throw;
        }
    }

    public JournalInspection Journal { get; }

    public string? ClusterId => _directory.ClusterId;

    /// <summary>What the readable entries add up to.</summary>
    public long Files => _state.Namespace.FileCount;

    /// <inheritdoc cref="Files"/>
    public long Chunks => _state.ChunkCount;

    /// <summary>The first readable entry that does not follow from those before it, and why; null: all do.</summary>
    public string? Contradiction { get; private set; }

    /// <summary>What the entries say that are whole behind the damage, in words of the log, with how many of each there are.</summary>
    public IReadOnlyList<(string What, int Count)> CountBehind() =>
        [.. Journal.ReadBehind().Select(entry => WordOf(entry.Bytes)).GroupBy(word => word).OrderBy(group => group.Key, StringComparer.Ordinal).Select(group => (group.Key, group.Count()))];

    public void Dispose() => _directory.Dispose();

    private void Apply(ulong number, ReadOnlyMemory<byte> bytes)
    {
        if (Contradiction is not null)
            return;
        try
        {
            _state.Apply(LogEntry.Parser.ParseFrom(bytes.Span), number);
        }
        catch (Exception e) when (e is InvalidProtocolBufferException or InvariantViolationException)
        {
            Contradiction = $"Entry {number} does not follow from the entries before it: {e.Message}";
        }
    }

    private static string WordOf(ReadOnlyMemory<byte> bytes)
    {
        try
        {
            return LogEntry.Parser.ParseFrom(bytes.Span).WhatCase switch
            {
                LogEntry.WhatOneofCase.EpochBegun => "starts of the master",
                LogEntry.WhatOneofCase.DirectoryMade => "directories made",
                LogEntry.WhatOneofCase.FileCreated => "files created",
                LogEntry.WhatOneofCase.Deleted => "files or directories deleted",
                LogEntry.WhatOneofCase.HandlesReserved => "blocks of handles reserved",
                LogEntry.WhatOneofCase.ChunkAdded => "chunks added",
                LogEntry.WhatOneofCase.VersionReserved => "versions reserved",
                LogEntry.WhatOneofCase.Configured => "configurations decided",
                LogEntry.WhatOneofCase.ChunkSealed => "chunks sealed",
                LogEntry.WhatOneofCase.WriterRegistered => "writers registered",
                LogEntry.WhatOneofCase.WriterExpired => "writers expired",
                LogEntry.WhatOneofCase.WriterRetired => "writers retired",
                LogEntry.WhatOneofCase.ServerAdmitted => "chunk servers admitted",
                LogEntry.WhatOneofCase.LossProven => "losses proven",
                _ => "others",
            };
        }
        catch (InvalidProtocolBufferException)
        {
            return "others";
        }
    }
}
