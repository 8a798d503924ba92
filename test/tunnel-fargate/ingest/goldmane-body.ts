/** A bucket as Goldmane sends it, of about so many bytes: flows of half a kilobyte with labels, policies and counters. */
export function goldmaneBody(bytes: number, end = 1_763_892_000): Buffer {
  const lines: string[] = [];
  for (let size = 0, number = 0; size < bytes; number += 1) {
    const line = JSON.stringify({
      Key: {
        source_name: `frontend-${number}-*`,
        source_namespace: 'shop',
        source_type: 1,
        dest_name: 'cart-*',
        dest_namespace: 'shop',
        dest_type: 1,
        dest_port: 8081,
        dest_service_name: 'cart',
        dest_service_namespace: 'shop',
        proto: 'tcp',
        reporter: 1,
        action: 1,
        policies: {
          enforced_policies: [{ kind: 6, namespace: 'shop', name: 'cart', tier: 'default', action: 1 }],
        },
      },
      start_time: end - 300,
      end_time: end,
      source_labels: ['app.kubernetes.io/name=frontend', `pod-template-hash=${number * 7_919}`],
      dest_labels: ['app.kubernetes.io/name=cart'],
      packets_in: number * 31,
      bytes_in: 4_294_967_296 + number,
    });
    lines.push(line);
    size += line.length + 1;
  }
  return Buffer.from(lines.join('\n'));
}
