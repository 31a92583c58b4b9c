namespace Semel.Simulation.PlantedBugs;

/// <summary>Every bug that <c>eng/mutations.sh</c> plants. Which seed found it is in <c>docs/internals/simulation.md</c>.</summary>
internal static class Catalogue
{
    private const string Primary = "src/Semel.ChunkServer/Appending/Primary.cs";
    private const string AppendJudge = "src/Semel.ChunkServer/Appending/AppendJudge.cs";
    private const string WriterTable = "src/Semel.ChunkServer/Appending/WriterTable.cs";
    private const string Replica = "src/Semel.ChunkServer/Replicas/Replica.cs";
    private const string ReplicaLog = "src/Semel.ChunkServer/Replicas/ReplicaLog.cs";
    private const string FrameServer = "src/Semel.ChunkServer/Reading/FrameServer.cs";
    private const string ReplicaMaker = "src/Semel.ChunkServer/Replicas/ReplicaMaker.cs";
    private const string ChunkServerNode = "src/Semel.ChunkServer/ChunkServerNode.cs";
    private const string MasterSession = "src/Semel.ChunkServer/Registration/MasterSession.cs";
    private const string MetadataSlots = "src/Semel.Storage/Chunks/MetadataSlots.cs";
    private const string ChunkFiles = "src/Semel.Storage/Chunks/ChunkFiles.cs";
    private const string FrameReader = "src/Semel.Protocol/Frames/FrameReader.cs";
    private const string ViewChanges = "src/Semel.Master/Views/ViewChanges.cs";
    private const string EpochHistory = "src/Semel.Master/Identity/EpochHistory.cs";
    private const string MemberWaits = "src/Semel.Master/Views/MemberWaits.cs";
    private const string OpenChunkRepair = "src/Semel.Master/Repair/OpenChunkRepair.cs";
    private const string MasterState = "src/Semel.Master/MasterState.cs";
    private const string MasterNode = "src/Semel.Master/MasterNode.cs";
    private const string HandleAllocator = "src/Semel.Master/Chunks/HandleAllocator.cs";
    private const string Journal = "src/Semel.Storage/Journals/Journal.cs";
    private const string JournalScan = "src/Semel.Storage/Journals/JournalScan.cs";
    private const string AppendPipeline = "src/Semel.Client/Appending/AppendPipeline.cs";

    /// <summary>The table's own checks, which would stop the server before anything could go wrong outside of it.</summary>
    private static readonly Edit TrustingTable = new(WriterTable,
        """
                    if (!known || entry!.Epoch != frame.Epoch)
                        return $"writer {frame.Writer} has not begun epoch {frame.Epoch}";
                    if (frame.FirstSequence != entry!.LastSequence + 1)
                        return $"writer {frame.Writer} has {entry.LastSequence} records, and this begins with number {frame.FirstSequence}";
                    entry.Add(
        """,
        """
                    if (!known)
                        (_writers[frame.Writer] = entry = new WriterEntry()).Begin(frame.Epoch, frame.TimeMs, frame.Offset);
                    entry!.Add(
        """);

    /// <summary>Whole clusters stop, and last bytes rot.</summary>
    private static readonly string[] LastBytes =
        ["--master", "real", "--durability", "group", "--faults", "RotLastBytes,ColdStart", "--fault-count", "6", "--records", "10"];

    /// <summary>Whole clusters stop and come back one by one, while disks die.</summary>
    private static readonly string[] ColdStarts =
        [
            "--master", "real", "--durability", "group", "--min-members", "2",
            "--faults", "ColdStart,DiskDies", "--fault-count", "6", "--records", "10",
        ];

    /// <summary>Files become shorter under their servers.</summary>
    private static readonly string[] Truncations =
        [
            "--master", "real", "--durability", "group", "--min-members", "2",
            "--faults", "TruncateRunning,KillServer", "--fault-count", "6", "--records", "10",
        ];

    public static readonly PlantedBug[] All =
    [
        // ---- Exactly once

        new("no-dedupe", "A retry is answered from the writer table",
            new Edit(AppendJudge, "return request.Writer == WriterId.Anonymous.Value ? Verdict.Sequence", "return request.Writer < ulong.MaxValue ? Verdict.Sequence"),
            TrustingTable),

        new("dedupe-committed-only", "A retry of a frame in flight shares its fate and is never sequenced twice",
            new Edit(AppendJudge,
                "        if (first == entry.LastSequence + 1)\n",
                "        if (first > CommittedSequenceOf(entry))\n            return Verdict.Sequence;\n        if (first == entry.LastSequence + 1)\n"),
            TrustingTable),

        new("answer-from-flight", "A retry is told that it is committed only when it is",
            new Edit(AppendJudge, "return IsInFlight(place) ? Verdict.ShareFateOf(place)", "return place.Offset == uint.MaxValue ? Verdict.ShareFateOf(place)")),

        new("table-not-carried", "The next chunk begins with the writer table of the one before; an unknown writer is refused",
            new Edit(WriterTable, "if (_writers.Count == 0 && FileRecords == 0 && HighestEvicted == default)", "if (_writers.Count < int.MaxValue)"),
            new Edit(AppendJudge,
                "if (!Log.Table.TryGet(writer, out var entry) || request.Epoch > entry.Epoch)\n",
                "if (!Log.Table.TryGet(writer, out var entry))\n            return Verdict.Sequence;\n        if (request.Epoch > entry.Epoch)\n"),
            TrustingTable),

        new("window-off-by-one", "A place is not forgotten while its batch is in flight",
            new Edit(AppendJudge, "return entry.PlaceCount < WriterEntry.Window ||", "return entry.PlaceCount <= WriterEntry.Window ||"))
        {
            Circumstances = ["--clients", "bare", "--window", "16", "--faults", "PauseServer,Isolate,CutBothWays,KillServer", "--fault-count", "30"],
        },

        new("window-misses-oldest", "The oldest remembered batch is remembered",
            new Edit(WriterTable, "for (int i = PlaceCount - 1; i >= 0; i--)", "for (int i = PlaceCount - 1; i > 0; i--)")),

        new("no-epoch-fence", "A newer incarnation of a writer fences the older one",
            new Edit(AppendJudge,
                "        if (request.Epoch < entry.Epoch)\n            return Fenced(writer, request.Epoch, entry);\n        ulong first",
                "        if (request.Epoch + 1000 < entry.Epoch)\n            return Fenced(writer, request.Epoch, entry);\n        ulong first"),
            TrustingTable),

        new("init-without-barrier", "INIT is answered when it is committed: only then the last sequence is final",
            new Edit(Primary,
                "Sequence(call, new FrameHeader { Kind = FrameKind.InitWriter, Writer = writer, Epoch = request.Epoch }, default, last, entry?.MemoryUpTo(last));",
                "Append(new FrameHeader { Kind = FrameKind.InitWriter, Writer = writer, Epoch = request.Epoch }, default);\n"
                + "        call.Reply(new AppendReply { Status = AppendStatus.Committed, Ballot = Ballot.Value, LastSequence = last });")),

        new("retry-with-new-sequence", "The client sends a batch again under the same id",
            new Edit(AppendPipeline,
                "FirstSequence = _identity.IsAnonymous ? 0 : batch.FirstSequence,",
                "FirstSequence = _identity.IsAnonymous ? 0 : batch.FirstSequence + (batch.Attempts > 1 ? (ulong)batch.Count : 0),")),

        new("silence-is-success", "The client takes no answer for no answer",
            new Edit(AppendPipeline,
                "                OnSilence(result, generation);",
                "                OnCommitted(batch, new AppendReply(), Ballot.None, tail, generation, TimeSpan.Zero, null);")),

        // ---- Two phases

        new("majority", "The watermark is what every member holds",
            new Edit(Primary,
                "            held = Math.Min(held, member.Acked);\n        }\n",
                "            held = Math.Min(held, member.Acked);\n        }\n        if (IsActive)\n            held = _secondaries.Select(m => m.Acked).Append(_replica.Held).OrderDescending().ElementAt(_secondaries.Length / 2 + (_secondaries.Length == 1 ? 1 : 0));\n")),

        new("ballot-ignored", "A replica acts on no ballot below the one that it promised",
            new Edit(Replica,
                "        if (ballot < _promised)\n            Vote(call, VoteStatus.VoteStale, _promised);\n        else if (_rotten)\n", "        if (_rotten)\n"),
            new Edit(Replica, "        else if (ballot != _lastView || _suspect || Log.IsDamaged)\n", "        else if (_suspect || Log.IsDamaged)\n"))
        {
            Circumstances = ["--master", "harsh", "--late", "5", "--regrants", "20", "--faults", "PauseServer,CutBothWays,Isolate,CutOneWay", "--fault-count", "30"],
        },

        new("ballot-granted-twice", "A ballot serves one incarnation of a primary",
            new Edit(Replica, "if (ballot < _promised || request.Version <= _lastView.Version)", "if (ballot < _promised || request.Version < _lastView.Version)"),
            // Two more fences: nobody may hold more than its primary has, and what follows a frame that differs does not fit.
            new Edit(Primary, "case VoteStatus.Voted when vote.Ballot == Ballot.Value && vote.Durable <= _replica.Log.Files.Length:", "case VoteStatus.Voted when vote.Ballot == Ballot.Value:"),
            new Edit(ReplicaLog, "var check = new FrameReader(frames, Tail, Chain);", "var check = new FrameReader(frames, Tail, chain: null);"))
        {
            Circumstances = ["--master", "harsh", "--regrants", "95", "--replicas", "2", "--faults", "PowerFailServer", "--fault-count", "40", "--fault-ms", "10", "--flush-ms", "40"],
        },

        new("view-installed-twice", "A view is installed once; after that it only gets a vote",
            new Edit(Replica, "        if (ballot == _lastView)\n", "        if (ballot == _lastView && _stopped)\n")),

        new("abort-in-same-ballot", "What takes the place of frames that were cut has a higher ballot",
            new Edit(Replica, "var ballot = _lastView.NextAttempt();", "var ballot = _lastView;"))
        {
            Circumstances = ["--faults", "FullDisk", "--fault-count", "40", "--record-bytes", "24", "--flush-tail-ms", "100"],
        },

        new("in-doubt-dropped", "A new primary keeps what is in doubt in its log",
            new Edit(Replica,
                "        _promised = ballot;\n        await FlushHereAsync();",
                "        _promised = ballot;\n        await Log.Files.LowerDurableAsync(Committed);\n        Log.Cut(Committed);\n        await FlushHereAsync();")),

        new("seal-too-early", "The next chunk exists only when the SEAL is committed",
            new Edit(Primary, "if (_replica.IsSealed && !_sealReported)", "if (_replica.Log.EndsInSeal && !_sealReported)")),

        new("seal-not-confirmed", "A member that missed the primary's last word learns that its chunk is sealed",
            new Edit(ChunkServerNode,
                "replica.Post(new SealConfirmed(command.ConfirmSeal.Version, command.ConfirmSeal.Length, command.ConfirmSeal.SealBallot));",
                "replica.Post(new SealConfirmed(0, 0, 0));")),

        // ---- Durability

        new("vote-before-flush", "A vote says that the frames are durable",
            new Edit(Replica, "        if (InMemory)\n        {\n            Held = Log.Files.Length;", "        {\n            Held = Log.Files.Length;")),

        new("scan-is-durable", "What a scan found is flushed before the first vote",
            new Edit(Replica, "await Log.Files.MakeDurableAsync(provenTo: Math.Min(Math.Max(InMemory ? 0 : Committed, Log.Files.Metadata.Durable), Log.Tail));", "await ValueTask.CompletedTask;"))
        {
            Circumstances = ["--faults", "KillServer,KillServerInStep,PowerFailServer,PowerFailAll", "--fault-count", "30", "--flush-ms", "60"],
        },

        new("view-not-flushed", "The frames of a new view are durable before its vote",
            new Edit(Replica,
                "        await Log.Files.FlushAsync();\n        ThrowIfCutShort();\n        Held = Log.Tail;\n        Log.WasAdopted();\n",
                "        ThrowIfCutShort();\n        Held = Log.Tail;\n        Log.WasAdopted();\n"))
        {
            Circumstances = ["--master", "harsh", "--faults", "CutBothWays,PowerFailServer,PowerFailAll,Isolate", "--fault-count", "30", "--flush-ms", "20"],
        },

        new("meta-slot-overwritten", "Metadata is never written over its newest valid copy",
            new Edit(MetadataSlots, "file.Write((long)(generation % 2) * ChunkMetadata.SlotStride, slot);", "file.Write((long)Math.Min(generation, 1) * ChunkMetadata.SlotStride, slot);"))
        {
            Circumstances = ["--faults", "PowerFailServer,PowerFailServerInStep,PowerFailAll", "--fault-count", "40", "--flush-ms", "20"],
        },

        new("name-not-flushed", "A new replica's name is durable before the master hears of it",
            new Edit(ChunkFiles, "            await disk.FlushDirectoryAsync(directory);\n            if (!MetadataSlots", "            if (!MetadataSlots")),

        new("suspect-forgets", "Who may have forgotten votes remembers that through restarts",
            new Edit(Replica, "await RememberAsync(_promised, _lastView, BootIdAsItIs);\n            _rest.Changed();", "await RememberAsync(_promised, _lastView);\n            _rest.Changed();"))
        {
            Circumstances = ["--durability", "memory", "--faults", "PowerFailServer,PowerFailAll,KillServer,RestartServer", "--fault-count", "40"],
        },

        new("damage-forgotten", "A replica that lost something knows it also after a restart",
            new Edit(Replica, "Math.Max(Committed, Log.CommittedHint), IsSealed, bootId, Log.Durable, both);", "Committed, IsSealed, bootId, Math.Min(Log.Durable, Log.Tail), both);"))
        {
            Circumstances = ["--master", "real", "--durability", "group", "--faults", "Rot,KillServer,RestartServer,Isolate", "--fault-count", "50"],
        },

        new("older-copy-believed", "A data directory that is an older copy of itself is distrusted",
            new Edit(MasterState, "public bool IsContinuedBy(ulong generation) => generation >= Generation;", "public bool IsContinuedBy(ulong generation) => generation <= ulong.MaxValue;"))
        {
            Circumstances = ["--master", "real", "--faults", "RestoreBackup,PauseServer,Isolate,KillServer", "--fault-count", "40"],
        },

        // ---- What a start may believe

        new("first-up-takes-all", "No configuration falls below its floor before its missing members were silent for long",
            new Edit(MemberWaits, "=> Math.Min(services.Options.MinMembers,", "=> 0 * Math.Min(services.Options.MinMembers,"))
        {
            Circumstances = ColdStarts,
        },

        new("idle-not-repaired", "An open chunk that nobody writes is repaired when its members die",
            new Edit(OpenChunkRepair, "        if (away.Count == 0)\n        {", "        if (away.Count < int.MaxValue)\n        {"))
        {
            Circumstances =
            [
                "--master", "real", "--durability", "group", "--servers", "4", "--min-members", "2",
                "--faults", "IdleDeaths", "--fault-count", "2", "--quiet-s", "14", "--records", "6",
            ],
        },

        new("stop-writes-nothing-down", "A replica that stops as it should writes down how far its log is durable",
            new Edit(Replica,
                "                Log.WereFlushed(Log.Files.Length);\n                await WriteDownAsync();",
                "                Log.WereFlushed(Log.Files.Length);"))
        {
            Circumstances = LastBytes,
        },

        new("durable-mark-ignored", "What was durable once and does not verify is damage, and no torn write",
            new Edit(ReplicaLog, "public bool IsDamaged => OnceHeld > Tail;", "public bool IsDamaged => CommittedHint > Tail;"))
        {
            Circumstances = LastBytes,
        },

        new("truncation-not-noticed", "A replica that became shorter under its server is damaged",
            new Edit(Replica, "return Log.Files.IsCutShort;", "return Log.Files.Length == uint.MaxValue;"))
        {
            Circumstances = Truncations,
        },

        new("witness-ignored", "Entries that the journal's witness has seen are no torn write",
            new Edit(JournalScan, "ulong witnessed = witness?.Entry ?? 0;", "ulong witnessed = 0;"))
        {
            Circumstances = LastBytes,
        },

        new("mark-not-lowered", "Frames that were durable are cut only after their mark was lowered: a sound replica never looks damaged",
            new Edit(ChunkFiles,
                "durable >= Metadata.Durable && (bootId ?? Metadata.BootId) == Metadata.BootId ? ValueTask.CompletedTask",
                "durable <= uint.MaxValue && bootId is null ? ValueTask.CompletedTask"),
            new Edit(ChunkFiles, "        Invariant.Holds(length >= Metadata.Durable || length == Length);", ""))
        {
            Circumstances =
            [
                "--master", "harsh", "--durability", "group", "--faults", "KillServerInStep,PowerFailServerInStep,CutBothWays,Isolate",
                "--fault-count", "40", "--flush-ms", "20",
            ],
        },

        new("end-at-zeros", "A log that ends before its witness has lost entries, also where it ends between two of them or in zeros",
            new Edit(JournalScan, "Next.IsNone => witnessed < _next,", "Next.IsNone => true,"))
        {
            Circumstances = LastBytes,
        },

        new("witness-before-flush", "The witness tells of durable entries only",
            new Edit(Journal,
                "                await WriteAsync(group);\n                Complete(group);",
                "                if (_time.GetElapsedTime(_witnessedAt) >= _options.WitnessInterval / 20)\n"
                + "                    await _witness.WriteAsync(group.LastEntry, _segments[^1].Number, _tail);\n"
                + "                await WriteAsync(group);\n                Complete(group);"))
        {
            Circumstances = ["--master", "real", "--faults", "PowerFailMaster,MasterDiesInStep", "--fault-count", "30", "--flush-ms", "60"],
        },

        new("damage-not-told", "A replica that lost what it once held says so when a view is made, and has no part in it",
            new Edit(Replica, "private bool IsDamaged => _rotten || Log.IsDamaged;", "private bool IsDamaged => _rotten;"))
        {
            Circumstances = LastBytes,
        },

        new("end-from-hearsay", "Only a member that knows all of its log to be committed tells where a chunk ends that cannot go on",
            new Edit(ViewChanges,
                "!a.Damaged && a.Committed == a.Tail).Select(a => (uint?)a.Tail)",
                "!a.Damaged).Select(a => (uint?)a.Committed)"))
        {
            Circumstances = ColdStarts,
        },

        new("old-master-accepted", "A log that lacks what a chunk server has seen is refused",
            new Edit(EpochHistory, "if (seen.Epoch < AcceptedBelow || seen.Epoch == 0)", "if (seen.Epoch < ulong.MaxValue)"))
        {
            Circumstances =
                ["--master", "real", "--durability", "group", "--faults", "OldMaster,KillMaster", "--fault-count", "8", "--records", "10"],
        },

        new("accepted-when-met", "A server accepts a master when it is elected, not when it registers with it",
            new Edit(MasterSession, "if (reply.Elected && await IsAcceptedAsync(registration))", "if (await IsAcceptedAsync(registration))"))
        {
            Circumstances = ["--master", "real", "--durability", "group", "--faults", "TwoMasters", "--fault-count", "2", "--records", "10"],
        },

        new("handle-given-twice", "A master that starts gives handles of its own epoch",
            new Edit(HandleAllocator, "Math.Max(_next, IdRange.FirstOf(services.State.Epoch));", "Math.Max(_next, IdRange.FirstOf(1));"),
            new Edit(HandleAllocator, "        Invariant.Holds(handle.Value < IdRange.EndOf(services.State.Epoch));\n", "")),

        // ---- Reading

        new("read-above-watermark", "Readers see committed frames only",
            new Edit(Replica, "private ReadBound Bound() => new(_lastView, Committed,", "private ReadBound Bound() => new(_lastView, Math.Max(Committed, Held),")),

        new("chain-not-checked", "A frame follows the frame that it was sequenced after",
            new Edit(FrameReader, "if (header.Chain != _chain && !(_anyChain && at == 0))", "if (header.Chain != _chain && header.Chain == uint.MaxValue)"))
        {
            Circumstances = ["--master", "real", "--faults", "ForeignFile,KillServer", "--fault-count", "30"],
        },

        new("foreign-file-served", "A replica's file belongs to its chunk",
            new Edit(ReplicaLog, "files.Metadata.Committed == files.Length && IsOfItsChunk(files))", "files.Metadata.Committed == files.Length)"))
        {
            Circumstances = ["--master", "real", "--faults", "ForeignFile,KillServer", "--fault-count", "30"],
        },

        new("rot-not-told", "A replica that rots is repaired",
            new Edit(FrameServer, "        if (boundary && request.Offset < committed)\n            replica.Post(", "        if (boundary && replica.IsSealed != replica.IsSealed)\n            replica.Post("))
        {
            Circumstances = ["--master", "real", "--faults", "Rot,KillServer", "--fault-count", "30"],
        },

        // ---- The master

        new("clone-of-a-part", "A copy counts when it has all of the sealed chunk",
            new Edit(ReplicaMaker,
                "    return (null, $\"{source.Address}: {problem}\");",
                "{\n                    if (problem.Length == 0)\n                        return (null, problem);\n                    break;\n                }"),
            new Edit(ReplicaMaker, "if (log.Tail != clone.Length || !log.EndsInSeal)", "if (log.Tail > clone.Length)")),

        new("reserve-not-logged", "A version is logged before anybody promises it",
            new Edit(ViewChanges,
                "services.Journal.Append(new LogEntry { VersionReserved = new VersionReserved { Handle = chunk.Handle.Value, Version = change.Version } });",
                "chunk.Reserve(change.Version);")),

        new("configuration-not-durable", "A configuration is durable before its primary hears of it",
            new Edit(ViewChanges,
                "        services.Journal.Append(new LogEntry { Configured = configured });\n        await services.Journal.DurableAsync();\n",
                "        services.Journal.Append(new LogEntry { Configured = configured });\n"))
        {
            Circumstances = ["--replicas", "2", "--master", "real", "--faults", "PowerFailMaster,Isolate,KillServer", "--fault-count", "60", "--flush-ms", "100"],
        },

        new("answer-before-log", "The master answers when its log is durable",
            new Edit(MasterNode, "        await _journal.DurableAsync();\n        call.Reply(reply);", "        call.Reply(reply);"))
        {
            Circumstances = ["--master", "real", "--faults", "PowerFailMaster,MasterDiesInStep,KillWriter,DoubleWriter", "--fault-count", "40", "--flush-ms", "60"],
        },

    ];
}
