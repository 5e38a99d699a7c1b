/** The store on a MariaDB that freezes, restarts, loses tables or takes no writes. */
import { sqlFailures } from './sql-failures.ts'

sqlFailures('mariadb')
