using Semel.Protocol.Buffers;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Simulation.Checking;
using Semel.Simulation.Cluster;
using Semel.Simulation.Kernel;

namespace Semel.Simulation.Runs;

/// <summary>How a run ended.</summary>
/// <param name="Failure">Null: nothing was violated.</param>
internal sealed record RunResult(
    ulong Seed, string? Failure, ulong TraceHash, long Acknowledged, TimeSpan VirtualTime, long Events, IReadOnlyDictionary<string, int> Coverage);

/// <summary>
/// One random run: a cluster, writers and readers, and faults, all from one seed. Its story: (1) the cluster starts, (2) writers and
/// readers work while faults come and go, (3) everything is healed, (4) the writers must finish and the readers must see it all, in bounded
/// time, (5) every replica of every file is read and checked.
/// </summary>
internal sealed class RandomRun
{
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan FaultLimit = TimeSpan.FromSeconds(600);
    private static readonly TimeSpan ProgressLimit = TimeSpan.FromSeconds(120);

    private readonly SimulatedWorld _world;
    private readonly RunPlan _plan;
    private readonly SimulatedCluster _cluster;
    private readonly History _history;
    private readonly SimulatedRandom _random;
    private readonly List<WriterSlot> _writers = [];
    private readonly List<FileChecker> _checkers = [];
    private int _anonymousWriters;

    private RandomRun(ulong seed, RunPlan plan, TextWriter? trace)
    {
        _world = new SimulatedWorld(seed, trace);
        _plan = plan;
        _history = new History(_world);
        _random = _world.Random.Fork();
        _cluster = new SimulatedCluster(_world, plan.Shape, plan.HarshMaster) { UsualDisk = plan.Disk, Regrants = plan.Regrants };
        _cluster.Network.Faults = plan.Network;
    }

    /// <param name="seed">Decides everything.</param>
    /// <param name="trace">Gets a line for everything that happens.</param>
    /// <param name="circumstances">Null: as the seed draws them.</param>
    public static RunResult Run(ulong seed, TextWriter? trace = null, Circumstances? circumstances = null)
    {
        var plan = RunPlan.Draw(seed);
        plan = circumstances?.ApplyTo(plan) ?? plan;
        var run = new RandomRun(seed, plan, trace);
        run._world.Tell("plan", $"seed {seed}: {plan}");
        run.Run();
        return new RunResult(
            seed, run._world.Failure, run._world.TraceHash, run._history.Acknowledged, run._world.Now, run._world.EventCount, run._world.Coverage);
    }

    private void Run()
    {
        // Step 1
        _cluster.Start();
        if (!Do("the cluster to start", StartLimit, StartAsync))
            return;

        // Step 2
        foreach (var writer in _writers)
            StartIncarnation(writer);
        foreach (var file in _history.Files.Values)
        {
            for (int i = 0; i < _plan.ReadersPerFile; i++)
                StartReader(file, i);
            if (_plan.AnonymousWriter)
                StartAnonymousWriter(file);
            for (int i = 0; i < _plan.PassingWriters; i++)
                StartPassingWriters(file);
            if (_plan.TouchesDisks)
                StartCat(file, _cluster.Master.Address);
        }
        var injector = new FaultInjector(_cluster, _plan, HitWriter, StartClientsOf);
        if (!Do("the faults", FaultLimit, () => injector.RunAsync(_cluster.Environment.Time)))
            return;

        // Step 3
        injector.Heal();
        foreach (var writer in _writers.Where(w => w is { IsLedAstray: true, IsDone: false }))
            StartIncarnation(writer);       // what it was told of is gone
        foreach (var file in _plan.PassingWriters > 0 ? [] : _history.Files.Values.ToList())
            StartIncarnation(AddWriter(file, "late"));      // there always is something left to do

        if (_plan.TouchesDisks && !Do("the operator to put everything in order", ProgressLimit, OperateAsync))
            return;

        // Step 4
        if (!_world.RunUntil(() => _writers.All(w => w.IsDone) && _anonymousWriters == 0, ProgressLimit, "the writers to finish after everything was healed", IsExcused))
            return;
        if (!Do("every replica to know what is committed", ProgressLimit, AuditAsync))
            return;
        if (!Do("fresh readers to read to the end", ProgressLimit, ReadAgainAsync))
            return;
        if (!_world.RunUntil(() => _checkers.All(c => c.File.Tails.All(tail => tail.Records.Count >= c.Records)), ProgressLimit, "the readers to see everything", IsExcused))
            return;
        foreach (var checker in _checkers)
            checker.CheckReaders();
        if (_plan.TouchesDisks && !_plan.HarshMaster)
            _world.RunUntil(IsRepaired, ProgressLimit, "every chunk to have as many copies as it can have", IsExcused);
    }

    private bool Do(string what, TimeSpan limit, Func<Task> flow)
    {
        bool done = false;
        _cluster.Environment.Start(async () =>
        {
            await flow();
            done = true;
        });
        return _world.RunUntil(() => done, limit, what, IsExcused);
    }

    /// <summary>
    /// No progress is right when all that is left of a chunk, or of the master, may lack acknowledged records: that is for an operator to
    /// decide.
    /// </summary>
    private bool IsExcused()
    {
        if (!_cluster.IsHealed || !(_cluster.IsUnavailableByRight(evenIfWhole: !_plan.TouchesDisks) || (_cluster.OldWasElected && _cluster.IsRefuted)))
            return false;
        _world.Reached("unavailable, as it must be");
        return true;
    }

    private async Task StartAsync()
    {
        await _cluster.AllUpAsync();
        var (process, wire) = _cluster.NewClientProcess("setup");
        for (int f = 0; f < _plan.Files; f++)
        {
            string path = $"/file{f}";
            var request = new CreateFileRequest { Path = path, OrOpen = true, Durability = _plan.Shape.Durability };
            var master = wire.LinkTo(_cluster.Master.Address);
            while (await master.CallAsync(MessageKind.CreateFile, request, Payload.Empty, TimeSpan.FromSeconds(1)) is var result
                && !(result.IsAnswered && result.Answer<CreateFileReply>().Status == Status.Ok))
                await Task.Delay(TimeSpan.FromMilliseconds(50), process.Time);
            var file = _history.File(path);
            for (int w = 0; w < _plan.WritersPerFile; w++)
                AddWriter(file, $"writer{f}.{w}");
        }
    }

    private WriterSlot AddWriter(FileHistory file, string name)
    {
        int largest = Math.Min(_plan.MaxRecordLength, (int)_plan.Shape.ChunkCapacity / 4);
        var slot = new WriterSlot(file, file.Writer(name, new RecordContent(_random.NextBits(), largest)));
        _writers.Add(slot);
        return slot;
    }

    // ---- Writers and readers

    private void StartIncarnation(WriterSlot slot, string? otherMaster = null)
    {
        var (process, wire) = _cluster.NewClientProcess("writer");
        string master = otherMaster ?? _cluster.Master.Address;
        var plan = _cluster.IsHealed ? _plan with { ThinkTime = TimeSpan.Zero } : _plan;
        IRunWriter writer = plan.BareClients
            ? new BareWriter(process, wire, master, slot.File.Path, slot.History, plan)
            : new LibraryWriter(process, wire, master, slot.File.Path, slot.History, plan);
        slot.Incarnations.Add(process);
        slot.IsLedAstray |= otherMaster is not null;
        process.Start(async () =>
        {
            await writer.RunAsync();
            slot.IsDone |= !writer.IsFenced;
            if (writer.IsFenced)
                _world.Reached("fenced");
        });
    }

    private void StartAnonymousWriter(FileHistory file)
    {
        var (process, wire) = _cluster.NewClientProcess("anonymous");
        _anonymousWriters++;
        process.Start(async () =>
        {
            await new AnonymousWriter(process, wire, _cluster.Master.Address, file, _plan).RunAsync();
            _anonymousWriters--;
        });
    }

    private void StartPassingWriters(FileHistory file)
    {
        var (process, wire) = _cluster.NewClientProcess("passing");
        _anonymousWriters++;
        process.Start(async () =>
        {
            await new PassingWriters(process, wire, _cluster.Master.Address, file, _plan, () => _cluster.IsHealed).RunAsync();
            _anonymousWriters--;
        });
    }

    private void StartReader(FileHistory file, int number)
    {
        var (process, wire) = _cluster.NewClientProcess("reader");
        var history = file.StartTail($"{file.Path}#{number}");
        string master = _cluster.Master.Address;
        if (_plan.BareClients)
            process.Start(new BareReader(process, wire, master, file.Path, history).RunAsync);
        else
            process.Start(new LibraryReader(process, wire, master, file.Path, history).RunAsync);
    }

    private void StartCat(FileHistory file, string master)
    {
        var (process, wire) = _cluster.NewClientProcess("cat");
        process.Start(new Cat(process, wire, master, file).RunAsync);
    }

    /// <summary>Clients that were told of another master.</summary>
    private void StartClientsOf(string master)
    {
        StartCat(_random.Pick([.. _history.Files.Values]), master);
        if (_writers.Where(w => !w.IsDone).ToList() is { Count: > 0 } writers)
            StartIncarnation(_random.Pick(writers), master);
    }

    private void HitWriter(FaultKind kind)
    {
        if (_writers.Count == 0)
            return;
        var slot = _random.Pick(_writers);
        if (slot.IsDone)
            return;
        if (kind == FaultKind.KillWriter)
        {
            foreach (var process in slot.Incarnations)
                process.Kill();
        }
        StartIncarnation(slot);
    }

    private bool IsRepaired() => _cluster.Copies.Chunks.All(chunk =>
        _cluster.ChunkServers.Count(server => !server.IsGone && _cluster.Copies.IsWholeAt(server, chunk))
            >= Math.Min(_plan.Shape.Replicas, _cluster.ChunkServers.Count(server => !server.IsGone)));

    // ---- What is left in the end

    /// <summary>
    /// Whoever refuses to start on files that somebody had changed gets back what was there. A master whose directory was changed is looked
    /// at for a while: does everything go on with it, then it is believed, and must be right in everything; else it has said that something
    /// is wrong, and gets back what was there, too.
    /// </summary>
    private async Task OperateAsync()
    {
        var time = _cluster.Environment.Time;
        await Task.Delay(TimeSpan.FromSeconds(2), time);
        foreach (var server in _cluster.Servers.Where(s => s is { Refusal: not null, Truth: not null }))
            PutBack(server);
        if (_cluster.Master.Truth is not null)
        {
            if (await IsDoneWithinAsync(400))
                return;
            PutBack(_cluster.Master);
        }
        if (!_cluster.SecondWasElected || _cluster.OldWasElected || await IsDoneWithinAsync(100) || !_cluster.IsRefuted)
            return;
        _world.Reached("the operator let the first master go on");
        _cluster.AcceptLostEntries = true;
        _cluster.Master.Kill();
        _cluster.Master.Start();

        async Task<bool> IsDoneWithinAsync(int tenths)
        {
            for (int i = 0; i < tenths; i++)
            {
                if (_writers.All(w => w.IsDone) && _anonymousWriters == 0)
                    return true;
                await Task.Delay(TimeSpan.FromMilliseconds(100), time);
            }
            return false;
        }
    }

    private void PutBack(SimulatedServer server)
    {
        _world.Reached("the operator put back what was there");
        server.Kill();
        server.Disk.Restore(server.Truth!);
        server.Truth = null;
        server.Start();
    }

    private async Task AuditAsync()
    {
        var (process, wire) = _cluster.NewClientProcess("auditor");
        await Task.Delay(_plan.Network.DuplicateDelay + _plan.Network.TailLatency, process.Time);    // what is still on its way arrives
        var auditor = new Auditor(_cluster, process, wire);
        foreach (var file in _history.Files.Values)
        {
            var image = await auditor.ReadAsync(file.Path);
            var names = new Dictionary<WriterId, string>();
            foreach (var writer in file.Writers.Values)
                names[await auditor.WriterAsync(file.Path, writer.Name)] = writer.Name;
            var checker = new FileChecker(_world, file, names);
            checker.Check(image);
            _checkers.Add(checker);
            foreach (var writer in file.Writers.Values)
            {
                if (writer.Acknowledged.Count != _plan.RecordsPerWriter)
                    _world.Fail($"{file.Path}: writer {writer.Name} is done with {writer.Acknowledged.Count} of {_plan.RecordsPerWriter} records");
            }
        }
    }

    /// <summary>Who opens a file now and reads to its end finds everything that was acknowledged before.</summary>
    private async Task ReadAgainAsync()
    {
        foreach (var checker in _checkers)
        {
            var (process, wire) = _cluster.NewClientProcess("fresh");
            var reader = new LibraryReader(process, wire, _cluster.Master.Address, checker.File.Path, checker.File.StartTail("fresh"));
            long found = await process.Start(reader.CountToEndAsync);
            if (found != checker.Records)
                _world.Fail($"{checker.File.Path}: a reader found the end after {found} records, there are {checker.Records}");
        }
    }

    private sealed class WriterSlot(FileHistory file, WriterHistory history)
    {
        public FileHistory File => file;
        public WriterHistory History => history;
        public List<SimulatedProcess> Incarnations { get; } = [];
        public bool IsDone { get; set; }

        /// <summary>An incarnation was told of another master than the cluster's.</summary>
        public bool IsLedAstray { get; set; }
    }
}
