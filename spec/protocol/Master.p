// The master of one file: where its chunks are, who may append to the last one (src/Semel.Master/Chunks, Views). What is logged is durable
// at once; a restart forgets the view change and the making of a chunk that were under way. It goes on when a client asks. As harsh as the
// protocol allows: it replaces primaries for no reason and leaves out members that are well.
//
// In the usual world it goes on with whoever is there; nothing that is promised by agreement rests on more. In the worlds of the cold start
// disks die, so there is a floor (MemberWaits, ViewDecision), sealed chunks are copied, and what a copy proves is told (Rereplication,
// ReplicaJudge, LossProofs).

type tChunk = (index: int, version: int, reserved: int, members: set[machine], primary: machine, sealedLength: int, baseDigest: tTable,
  byOperator: bool);

machine Master {
  var servers: set[machine];

  // Logged.
  var chunks: map[int, tChunk];
  var tail: int;                           // handle of the last chunk; 0: none
  var lastHandle: int;
  var epochs: map[int, int];

  var proofs: map[int, set[machine]];      // who has shown that acknowledged records of a chunk are missing

  // Heard since this start: who is alive, with which disk, and what it has of each chunk. Who is waited for no longer, and who will not
  // be after the next start either.
  var alive: set[machine];
  var reported: set[machine];              // ... and has named all that it has
  var lives: map[machine, int];
  var reports: map[int, map[machine, tReport]];
  var graceOver: set[machine];
  var gone: set[machine];
  var lost: set[machine];                  // members of the tail that have no replica any more
  var copying: map[int, machine];

  // One view change, of the tail. changing 0: none; otherwise the version that is promised.
  var changing: int;
  var answers: map[machine, (suspect: bool, tail: int, committed: int)];
  var accused: set[machine];
  var decider: machine;                    // the server whose copy an operator wants, and no other

  // One making of a chunk. making 0: none; otherwise its handle.
  var making: int;
  var tried: set[machine];
  var made: set[machine];

  start state Serving {
    entry (chunkServers: set[machine]) { servers = chunkServers; }

    on eRegisterWriter do OnRegisterWriter;
    on eLocateTail do OnLocateTail;
    on eCreateChunkReply do OnCreateChunkReply;
    on ePromiseReply do OnPromiseReply;
    on eSuspect do OnSuspect;
    on eSealed do OnSealed;

    on eRegister do OnRegister;
    on eReport do OnReport;
    on eReportEnds do (server: machine) { if (server in alive) { reported += (server); } }
    on eNotFound do OnNotFound;
    on eLocateChunks do OnLocateChunks;
    on eSilent do Forget;
    on eGraceOver do OnGraceOver;
    on eOperatorDecides do OnOperatorDecides;

    on eMasterCrash do {
      changing = 0;
      making = 0;
      if (world != (USUAL to int)) { BeginAnew(); }
    }
    on eReplacePrimary do {
      if (TailIsOpen() && changing == 0) { StartViewChange(SomeOf(chunks[tail].members)); }
    }
    on eEndChunk do {
      if (TailIsOpen()) { Send(chunks[tail].primary, eSealChunk, (handle = tail, version = chunks[tail].version)); }
    }
  }

  fun TailIsOpen(): bool { return tail != 0 && chunks[tail].sealedLength == 0; }

  fun SomeOf(members: set[machine]): set[machine] {
    var member: machine;
    var some: set[machine];
    foreach (member in members) { if ($) { some += (member); } }
    return some;
  }

  fun OnRegisterWriter(m: (client: machine, writer: int)) {
    if (!(m.writer in epochs)) { epochs[m.writer] = 0; }
    epochs[m.writer] = epochs[m.writer] + 1;
    announce eRegistered, (writer = m.writer, epoch = epochs[m.writer]);
    send m.client, eRegisterWriterReply, (epoch = epochs[m.writer],);
  }

  fun OnLocateTail(m: (client: machine, question: int, suspectHandle: int, suspectVersion: int)) {
    var doubt: int;
    RepairOne();
    if (!TailIsOpen()) { MakeChunk(); return; }
    if (changing != 0) { GoOn(); return; }
    if (m.suspectHandle == tail && m.suspectVersion == chunks[tail].version) {
      doubt = choose(3);
      if (doubt == 0) { Grant(false); }
      if (doubt == 1) { StartViewChange(SomeOf(chunks[tail].members)); return; }
    }
    Send(m.client, eLocateTailReply, (question = m.question, handle = tail, index = chunks[tail].index, version = chunks[tail].version,
      primary = chunks[tail].primary));
  }

  fun GoOn() {
    if (choose(6) == 0) { StartViewChange(accused); }      // it had ended without a decision
    else { AskForPromises(); }
  }

  // ================================================================ making the next chunk

  fun MakeChunk() {
    var server: machine;
    var untried: set[machine];
    if (making == 0) {
      lastHandle = lastHandle + 1;
      making = lastHandle;
      tried = default(set[machine]);
      made = default(set[machine]);
    }
    foreach (server in servers) { if (!(server in tried) && (server in alive || world == (USUAL to int))) { untried += (server); } }
    while (sizeof(untried) > 0 && (sizeof(tried) < Replicas() || choose(3) == 0)) {
      server = choose(untried);
      untried -= (server);
      tried += (server);
    }
    foreach (server in tried) { if (!(server in made)) { AskToCreate(server); } }
  }

  fun AskToCreate(server: machine) {
    var base: tChunkBase;
    var index: int;
    if (tail != 0) {
      base = (previousHandle = tail, previousLength = chunks[tail].sealedLength, digest = chunks[tail].baseDigest, sources = HoldersOf(tail));
      index = chunks[tail].index + 1;
    }
    Send(server, eCreateChunk, (handle = making, index = index, base = base, life = LifeOf(server)));
  }

  fun OnCreateChunkReply(m: (server: machine, handle: int)) {
    var chunk: tChunk;
    if (m.handle != making) { return; }
    made += (m.server);
    if (sizeof(made) < MinMembers() || (sizeof(made) < Replicas() && $)) { return; }
    if (tail != 0) { chunk.index = chunks[tail].index + 1; }
    chunk.version = 1;
    chunk.reserved = 1;
    chunk.members = made;
    chunk.primary = choose(made);
    tail = making;
    chunks[tail] = chunk;                                  // logged: now it exists
    making = 0;
    changing = 0;
    lost = default(set[machine]);
    Grant(false);
  }

  fun Grant(seal: bool) {
    Send(chunks[tail].primary, eGrant, (handle = tail, version = chunks[tail].version, members = chunks[tail].members, seal = seal));
  }

  // ================================================================ view changes

  // Step 1: the version is reserved in the log before the first promise leaves.
  fun StartViewChange(without: set[machine]) {
    chunks[tail].reserved = chunks[tail].reserved + 1;
    changing = chunks[tail].reserved;
    answers = default(map[machine, (suspect: bool, tail: int, committed: int)]);
    accused = without;
    decider = null;
    AskForPromises();
  }

  fun AskForPromises() {
    var member: machine;
    var asked: set[machine];
    asked = chunks[tail].members;
    if (Planted(LEFT_OUT_COMES_BACK)) { asked = servers; }
    if (decider != null) {
      asked = default(set[machine]);
      asked += (decider);
    }
    foreach (member in asked) {
      if (!(member in answers)) { Send(member, ePromise, (handle = tail, version = changing)); }
    }
  }

  // Step 2: all are waited for, or not.
  fun OnPromiseReply(m: (member: machine, handle: int, version: int, suspect: bool, life: int, tail: int, committed: int)) {
    if (m.handle != tail || changing == 0 || m.version != changing || !TailIsOpen() || !IsOfNow(m.member, m.life)) { return; }
    answers[m.member] = (suspect = m.suspect, tail = m.tail, committed = m.committed);
    lost -= (m.member);
    if (sizeof(answers) == sizeof(chunks[tail].members) || $) { Decide(); }
  }

  fun OnNotFound(m: (member: machine, handle: int, version: int, life: int)) {
    if (m.handle != tail || changing == 0 || m.version != changing || !TailIsOpen() || !IsOfNow(m.member, m.life)) { return; }
    lost += (m.member);
    Decide();
  }

  // Step 3: whoever answered holds everything that was ever decided, so any selection and any primary will do; but not those that may have
  // forgotten, and those that are accused only when nobody else is left. Nobody goes below the floor while a member may still come: the one that
  // is up may die, and those that come later have all that was acknowledged. Step 4: the primary is told.
  fun Decide() {
    var member: machine;
    var clean: set[machine];
    var chosen: set[machine];
    var committed: int;
    foreach (member in keys(answers)) {
      if (!answers[member].suspect) { committed = Most(committed, answers[member].committed); }
    }
    // What is committed is on every member: who has less than another one knows to be committed has lost it, whatever it believes.
    foreach (member in keys(answers)) {
      if (answers[member].tail < committed && world != (USUAL to int)) { lost += (member); }
      else if (!answers[member].suspect) {
        clean += (member);
        if (!(member in accused)) { chosen += (member); }
      }
    }
    if (sizeof(chosen) == 0) { chosen = clean; }
    if (sizeof(chosen) == 0) { return; }
    if (world != (USUAL to int) && sizeof(chosen) < MinMembers() && decider == null && !Planted(FLOOR_IGNORED)) {
      foreach (member in chunks[tail].members) {
        if (IsAwaited(member) && member in clean && !(member in chosen)) { chosen += (member); }
      }
      foreach (member in chunks[tail].members) {
        if (sizeof(chosen) < MinMembers() && IsAwaited(member) && !(member in answers)) { return; }
      }
    }
    if (decider != null) {
      announce eOperatorDecided, tail;
      chunks[tail].byOperator = true;
    }
    chunks[tail].version = changing;
    chunks[tail].members = chosen;
    chunks[tail].primary = choose(chosen);                 // logged: the decision
    changing = 0;
    Grant(sizeof(chosen) < MinMembers() || (sizeof(chosen) < Replicas() && $));
  }

  fun IsAwaited(member: machine): bool { return !(member in graceOver) && !(member in lost); }

  // `semel chunk recover`: of a chunk that does not go on by itself, whoever was a member.
  fun OnOperatorDecides(server: machine) {
    if (!TailIsOpen() || changing == 0) { return; }
    chunks[tail].reserved = chunks[tail].reserved + 1;
    changing = chunks[tail].reserved;
    answers = default(map[machine, (suspect: bool, tail: int, committed: int)]);
    decider = server;
    AskForPromises();
  }

  fun OnSuspect(m: (sender: machine, handle: int, version: int, member: machine)) {
    var without: set[machine];
    if (!TailIsOpen() || m.handle != tail || m.version != chunks[tail].version || m.sender != chunks[tail].primary) { return; }
    without += (m.member);
    if (changing == 0) { StartViewChange(without); }
    else { accused += (m.member); }
  }

  // ================================================================ the end of a chunk

  fun OnSealed(m: (sender: machine, handle: int, version: int, length: int, baseDigest: tTable)) {
    var server: machine;
    if (!TailIsOpen() || m.handle != tail) { return; }
    if ((m.version != chunks[tail].version || m.sender != chunks[tail].primary) && !Planted(SEALED_OF_REPLACED)) { return; }
    chunks[tail].sealedLength = m.length;
    chunks[tail].baseDigest = m.baseDigest;                // logged
    changing = 0;
    // The master says it to those who seem to have missed it; here to everybody.
    foreach (server in servers) { ConfirmSeal(tail, server); }
    Repair(tail);
    if ($) { MakeChunk(); }
  }

  fun ConfirmSeal(h: int, server: machine) {
    Send(server, eConfirmSeal, (handle = h, version = chunks[h].version, length = chunks[h].sealedLength));
  }

  // ================================================================ who is there, and what he has

  fun BeginAnew() {
    var server: machine;
    alive = default(set[machine]);
    reported = default(set[machine]);
    reports = default(map[int, map[machine, tReport]]);
    graceOver = gone;
    lost = default(set[machine]);
    copying = default(map[int, machine]);
    foreach (server in servers) { send server, eRegisterAgain; }
  }

  fun Forget(server: machine) {
    var h: int;
    alive -= (server);
    reported -= (server);
    if (server in answers) { answers -= (server); }
    foreach (h in keys(copying)) { if (copying[h] == server) { copying -= (h); } }
  }

  fun OnRegister(m: (server: machine, life: int)) {
    var h: int;
    Forget(m.server);
    alive += (m.server);
    lives[m.server] = m.life;
    graceOver -= (m.server);
    accused -= (m.server);
    foreach (h in keys(reports)) { if (m.server in reports[h]) { reports[h] -= (m.server); } }
    if (TailIsOpen() && changing != 0) { AskForPromises(); }
  }

  fun OnReport(report: tReport) {
    if (!(report.server in alive)) { return; }
    if (!(report.handle in reports)) { reports[report.handle] = default(map[machine, tReport]); }
    if (!report.gone) { reports[report.handle][report.server] = report; }
    else if (report.server in reports[report.handle]) { reports[report.handle] -= (report.server); }
    if (report.handle in copying && copying[report.handle] == report.server) { copying -= (report.handle); }
    Repair(report.handle);
  }

  fun LifeOf(server: machine): int { if (server in lives) { return lives[server]; } return 0; }

  fun IsOfNow(server: machine, life: int): bool { return world == (USUAL to int) || (server in alive && LifeOf(server) == life); }

  fun OnGraceOver(m: (member: machine, isGone: bool)) {
    graceOver += (m.member);
    if (m.isGone) { gone += (m.member); }
    if (TailIsOpen() && changing != 0) { Decide(); }
  }

  // ================================================================ copies, and what they prove

  fun HasAllOf(h: int, server: machine): bool {
    return server in reports[h] && reports[h][server].isSealed && reports[h][server].tail == chunks[h].sealedLength;
  }

  // Of a sealed chunk.
  fun HoldersOf(h: int): set[machine] {
    var server: machine;
    var holders: set[machine];
    if (h in reports) {
      foreach (server in alive) { if (HasAllOf(h, server)) { holders += (server); } }
    }
    if (sizeof(holders) == 0) { return chunks[h].members; }
    return holders;
  }

  fun RepairOne() {
    if (world != (USUAL to int) && sizeof(reports) > 0) { Repair(choose(keys(reports))); }
  }

  fun Repair(h: int) {
    var server: machine;
    var good: set[machine];
    var others: set[machine];
    var candidates: set[machine];
    if (world == (USUAL to int) || !(h in chunks) || chunks[h].sealedLength == 0 || !(h in reports)) { return; }
    if (!(h in proofs)) { proofs[h] = default(set[machine]); }
    candidates = reported;
    foreach (server in keys(reports[h])) {
      if (!(server in alive)) { continue; }
      if (HasAllOf(h, server)) {
        good += (server);
        candidates -= (server);
      }
      else if (HasMore(reports[h][server].committed, chunks[h].sealedLength) && !Planted(LATE_MEMBER_DELETED)) {
        if (!(server in proofs[h])) { announce eLossProven, h; }
        proofs[h] += (server);                             // logged
      }
      else { others += (server); }
      // What an operator gave up may have been acknowledged, whether its holder knows it or not.
      if (!(server in good) && chunks[h].byOperator && reports[h][server].tail > 0 && !Planted(GIVEN_UP_DELETED)) {
        others -= (server);
        candidates -= (server);
      }
    }
    foreach (server in proofs[h]) { candidates -= (server); }
    foreach (server in others) {
      if (reports[h][server].endsInSeal && reports[h][server].tail == chunks[h].sealedLength) { ConfirmSeal(h, server); }
      else if (sizeof(good) >= Replicas() && !(server in proofs[h])) {
        Send(server, eDeleteChunk, (handle = h, onlyIfPromisedBelow = chunks[h].reserved + 1, onlyIfSealedAt = chunks[h].sealedLength));
      }
    }
    if (sizeof(good) > 0 && sizeof(good) < Replicas() && sizeof(candidates) > 0 && (!(h in copying) || choose(4) == 0) && $) {
      copying[h] = choose(candidates);
      Send(copying[h], eCloneChunk, (handle = h, version = chunks[h].version, length = chunks[h].sealedLength, sources = good));
    }
  }

  // ================================================================ readers

  fun OnLocateChunks(m: (reader: machine, question: int, complains: bool)) {
    var h: int;
    var member: machine;
    var location: tLocation;
    var chain: seq[tLocation];
    RepairOne();
    if (m.complains && TailIsOpen()) {
      if (changing != 0) { GoOn(); }
      else if (choose(3) == 0) { StartViewChange(default(set[machine])); }
    }
    while (h < tail) {
      h = h + 1;
      if (h in chunks) {
        location = (handle = h, version = chunks[h].version, sealedLength = chunks[h].sealedLength, holders = default(set[machine]), settledEnd = -1);
        if (chunks[h].sealedLength > 0) { location.holders = HoldersOf(h); }
        else { location.holders += (chunks[h].primary); }
        chain += (sizeof(chain), location);
      }
    }
    // A member that has promised the next version votes for nothing in this one any more. Knows it all of its log to be committed, nothing else is or will be.
    if (TailIsOpen() && changing != 0 && decider == null) {
      foreach (member in keys(answers)) {
        if (!answers[member].suspect && (answers[member].committed == answers[member].tail || Planted(SETTLED_TOO_SOON))) {
          location.settledEnd = answers[member].committed;
          location.holders = default(set[machine]);
          location.holders += (member);
          chain[sizeof(chain) - 1] = location;
        }
      }
    }
    Send(m.reader, eLocateChunksReply, (question = m.question, chunks = chain));
  }
}
