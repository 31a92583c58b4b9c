Console.WriteLine("semel");
