/** The store on a PostgreSQL that freezes, restarts, loses tables or takes no writes. */
import { sqlFailures } from './sql-failures.ts'

sqlFailures('postgres')
