namespace Semel.Cli.Hosting;

/// <summary>The page at <c>/</c>: what <c>/api/v1/status</c> says, refreshed each second. No outside resources.</summary>
internal static class StatusPage
{
    public const string Html = """
        <!doctype html>
        <html lang="en">
        <meta charset="utf-8"><meta name="viewport" content="width=device-width">
        <title>Semel</title>
        <style>
          :root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
          body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
          h1 { font-size: 1.3rem; margin-bottom: 0 } small { opacity: .7 }
          table { border-collapse: collapse; width: 100%; margin-top: 1.5rem }
          th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884 }
          td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
          .bad { color: #c33; font-weight: 600 }
        </style>
        <h1>Semel</h1><small id="head">…</small>
        <table><tbody id="facts"></tbody></table>
        <table><thead><tr><th>chunk server<th>address<th>state<th class="n">chunks<th class="n">leases<th class="n">free</tr></thead><tbody id="servers"></tbody></table>
        <p><a href="/metrics">metrics</a> · <a href="/api/v1/status">status as JSON</a></p>
        <script>
          const bytes = n => { const u = ['B','KiB','MiB','GiB','TiB','PiB']; let i = 0; while (n >= 1024 && i < 5) { n /= 1024; i++ } return n.toFixed(i ? 1 : 0) + ' ' + u[i] }
          const row = cells => { const r = document.createElement('tr'); for (const [text, kind] of cells) { const c = document.createElement('td'); c.textContent = text; if (kind) c.className = kind; r.append(c) } return r }
          async function refresh() {
            const head = document.getElementById('head')
            try {
              const s = await (await fetch('/api/v1/status')).json()
              head.className = ''; head.textContent = (s.role || 'master') + ' · cluster ' + (s.cluster_id || 'unknown') + (s.recovering ? ' · recovering' : '')
              const facts = []
              for (const k of ['files', 'directories', 'chunks', 'under_replicated', 'replicas']) if (k in s) facts.push(row([[k.replace('_', '-')], [String(s[k]), k === 'under_replicated' && s[k] > 0 ? 'n bad' : 'n']]))
              document.getElementById('facts').replaceChildren(...facts)
              document.getElementById('servers').replaceChildren(...(s.servers || []).map(v => row([[v.id], [v.address], [v.alive ? 'alive' : 'silent for ' + (v.silent_ms / 1000).toFixed(1) + ' s', v.alive ? '' : 'bad'], [v.chunks, 'n'], [v.leases, 'n'], [bytes(v.free_bytes), 'n']])))
            } catch (e) { head.className = 'bad'; head.textContent = 'no answer: ' + e.message }
          }
          refresh(); setInterval(refresh, 1000)
        </script>
        </html>
        """;
}
