// Tells node's tests as `go test -v` tells its own, so that one summary counts both.
export default async function* report(events) {
  let failed = 0;
  const begun = Date.now();
  for await (const { type, data } of events) {
    if (type === "test:pass" || type === "test:fail") {
      if (data.details?.type === "suite") continue;
      const verdict = type === "test:fail" ? "FAIL" : data.skip !== undefined ? "SKIP" : "PASS";
      if (verdict === "FAIL") failed++;
      yield `--- ${verdict}: ${data.name.replaceAll(" ", "_")} (${(data.details.duration_ms / 1000).toFixed(2)}s)\n`;
      if (verdict === "FAIL") yield `${data.details.error?.cause?.stack ?? data.details.error?.stack ?? data.details.error}\n`;
    } else if (type === "test:diagnostic") yield `    ${data.message}\n`;
    else if (type === "test:stderr" || type === "test:stdout") yield data.message;
  }
  const took = ((Date.now() - begun) / 1000).toFixed(3);
  yield failed ? `FAIL\tservices/console/test\t${took}s\n` : `ok  \tservices/console/test\t${took}s\n`;
}
