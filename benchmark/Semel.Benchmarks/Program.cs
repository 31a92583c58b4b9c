using BenchmarkDotNet.Running;

// dotnet run -c Release --project benchmark/Semel.Benchmarks -- --filter '*Crc32C*' --job short
// In this process: the other way generates a project for each benchmark and builds the solution again for it.
BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(["--inProcess", .. args]);
